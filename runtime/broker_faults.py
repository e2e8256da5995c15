"""Reads from Kafka's log why it did not start, and says it in the operator's words."""

import re
from pathlib import Path
from typing import Final

from schemas.errors import AuditError, BrokerUnavailable, Misconfigured

LINES_QUOTED: Final = 8
LINE_CHARS_MAX: Final = 300

_PORT: Final = re.compile(r"(?:bind to|Socket server failed to bind to) \S*?:(\d+)")


_MARKS: Final[dict[str, str]] = {
    "No space left on device": "the disk of {folder} is full",
    "Read-only file system": "{folder} is on a read-only disk",
    "Failed to acquire lock on file": "another Kafka process uses {folder}",
    "AccessDeniedException": "{folder} holds files that this user may not write",
    "Permission denied": "{folder} holds files that this user may not write",
    "OutOfMemoryError": "there is not enough memory",
    "insufficient memory": "there is not enough memory",
}


def explain(what: str, log: str, data_dir: Path) -> AuditError:
    """Return the error to raise, with the cause where the log tells it, and its last lines.

    `Misconfigured` where only an operator can help, else `BrokerUnavailable`. Pure.
    """
    cause = _cause(log, data_dir)
    quoted = _last_lines(log)
    shown = f"; the end of its log:\n{quoted}" if quoted else "; its log is empty"
    if cause:
        return Misconfigured(f"{what}: {cause}{shown}")
    return BrokerUnavailable(f"{what}{shown}")


def _cause(log: str, data_dir: Path) -> str:
    if "Address already in use" in log:
        port = _PORT.search(log)
        return f"port {port.group(1)} is taken" if port else "its port is taken"
    for mark, meaning in _MARKS.items():
        if mark in log:
            return meaning.format(folder=data_dir)
    return ""


def _last_lines(log: str) -> str:
    """Return the last lines that say something: frames of stack traces are left out."""
    lines = [line.rstrip() for line in log.splitlines()]
    telling = [line for line in lines if line and not line.lstrip().startswith(("at ", "... "))]
    return "\n".join(
        "  " + "".join(c if c.isprintable() else "?" for c in line[:LINE_CHARS_MAX])
        for line in telling[-LINES_QUOTED:]
    )
