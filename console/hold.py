"""One console a file: a lock beside it, held by this process until all in it have let go.

Two consoles on one state would both publish what waits in the outbox, and work on the same
exports. Within one console several connections share the lock. It ends with its process.
"""

import fcntl
import os
import threading
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured

ENDING: Final = ".lock"
_guard: Final = threading.Lock()
_held: Final[dict[Path, tuple[int, int]]] = {}  # file descriptor, and how many hold it


class Hold:
    """A hold on a file. Raises `Misconfigured` if another process has one, or none can be had."""

    def __init__(self, path: Path) -> None:
        self._path = path.parent.resolve() / path.name
        with _guard:
            descriptor, count = _held.get(self._path, (-1, 0))
            if not count:
                descriptor = _lock(self._path)
            _held[self._path] = (descriptor, count + 1)

    def release(self) -> None:
        """Let go; to be called once."""
        with _guard:
            descriptor, count = _held.pop(self._path)
            if count > 1:
                _held[self._path] = (descriptor, count - 1)
            else:
                os.close(descriptor)


def _lock(path: Path) -> int:
    beside = path.with_name(path.name + ENDING)
    try:
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Misconfigured(f"{beside}: can't be opened ({error.strerror})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Misconfigured(
            f"another console has {path} open: stop it, or give this one another data folder"
        ) from error
    return descriptor
