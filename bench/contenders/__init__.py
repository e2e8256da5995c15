"""One program a contender; each does the same work on the same bytes until it is told to stop."""
