// progressive enhancements only: every page reads without this
