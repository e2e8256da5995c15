"""A child's output in a file of bounded size, whole even when we are killed."""

import os
import shutil
from pathlib import Path
from typing import IO, Final

from runtime.log import escape

BYTES_MAX: Final = 5 << 20
KEPT: Final = 2  # older files beside the one being written
TAIL_BYTES: Final = 8_192
TAIL_LINES: Final = 8
LINE_CHARACTERS_MAX: Final = 400


class ChildLog:
    """The child writes to the file itself, appending; we copy and cut it when it is full.

    No pipe through us, so that a child neither waits for us nor loses lines when we die. Lines
    written between copy and cut, some milliseconds each 5 MiB, are lost.
    """

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX) -> None:
        self.path = path
        self._bytes_max = bytes_max
        self._begin = 0  # where the output of the child that runs now begins

    def open(self) -> IO[bytes]:
        """Open it for a child; only its owner may read it."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._begin = os.fstat(number).st_size
        return os.fdopen(number, "ab", buffering=0)

    def turn_over(self) -> bool:
        """Move the content to `.1` once the file is full, `.1` to `.2`; say whether it was."""
        if not self.path.exists() or self.path.stat().st_size < self._bytes_max:
            return False
        for number in range(KEPT, 1, -1):
            newer = self._older(number - 1)
            if newer.exists():
                newer.replace(self._older(number))
        shutil.copyfile(self.path, self._older(1))
        os.truncate(self.path, 0)
        self._begin = 0
        return True

    def tail(self) -> str:
        """Return the last lines since it was opened, safe for a terminal, indented."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(self._begin, self.path.stat().st_size - TAIL_BYTES))
                text = file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        lines = [line for line in text.splitlines() if line.strip()]
        return "\n".join(f"  {_shown(line)}" for line in lines[-TAIL_LINES:])

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _shown(line: str) -> str:
    shown = escape(line)
    return shown if len(shown) <= LINE_CHARACTERS_MAX else f"{shown[:LINE_CHARACTERS_MAX]}…"
