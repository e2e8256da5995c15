"""Who runs a command, as this machine knows them: a claim that goes with each request."""

import getpass


def login() -> str:
    """Return the name of the user of this process; "" where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
