"""Waits for the process that has an embedded store open: after a kill it may still be ending."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

STATUS: Final = "status"  # what ClickHouse locks in its folder, and removes at an orderly end
POLL_S: Final = 0.05


def wait_for_owner(store: Path, timeout_s: float) -> bool:
    """Wait until no process has the store open; say whether that came about."""
    deadline = time.monotonic() + timeout_s
    while is_owned(store):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def is_owned(store: Path) -> bool:
    """Say whether a process has the store open now."""
    try:
        file = os.open(store / STATUS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # not made yet, ended in order, or not ours to read: opening it will tell
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
