"""Reads that repeat themselves: a terminal that follows alerts, a page that keeps itself fresh.

Each that shows something leaves its event at once. One that repeats the same question within the
minute and finds nothing new leaves none of its own: the next one that does tells how many such
there were, and from where the first of them asked. So a night of waiting is one event a minute,
and nothing shown is ever without one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from console.ports import Read

EVERY_MS: Final = 60_000
KNOWN_MAX: Final = 1_000  # who polls at once; beyond, the longest silent one is told of again
# Paths, and the parameter without which a read of them is no poll. Its value moves on by itself.
POLLED: Final[Mapping[str, str]] = {"/v1/alerts": "after"}
# Pages that show the state of the service, no event and nobody's doing: as empty, whatever rows.
STATES: Final = frozenset({"/health"})


class Silent(NamedTuple):
    """Polls that left no event: how many, and where the first began ("" if it named nothing)."""

    polls: int = 0
    since: str = ""


@dataclass(slots=True)
class _Poll:
    told_ms: int
    silent: Silent


class Polls:
    """Who polls what, and when that was told last. For one event loop."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Poll] = {}

    def silent(self, read: Read, now_ms: int) -> Silent | None:
        """Return which silent polls this read tells of too; None if it is one itself.

        `now_ms` is of a clock that nobody sets.
        """
        key = _key(read)
        if key is None:
            return Silent()
        known = self._known.pop(key, None)
        if known is not None and _is_empty(read) and now_ms - known.told_ms < EVERY_MS:
            since = known.silent.since or _place(read)  # they only go on: the first is the lowest
            known.silent = Silent(known.silent.polls + 1, since)
            self._known[key] = known
            return None
        while len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[key] = _Poll(now_ms, Silent())
        return known.silent if known is not None else Silent()


def _is_empty(read: Read) -> bool:
    return not read.rows or read.path in STATES


def _place(read: Read) -> str:
    moving = POLLED.get(read.path)
    return "" if moving is None else str(read.asked[moving])


def _key(read: Read) -> bytes | None:
    """Name what a poll repeats; None if the read is no poll."""
    moving = POLLED.get(read.path)
    if read.path not in STATES and (moving is None or moving not in read.asked):
        return None
    asked: dict[str, Any] = {n: str(v) for n, v in read.asked.items() if n != moving}
    by = read.by
    return orjson.dumps(
        [by.name, by.key, by.tenant, by.client, read.operator, read.path, asked],
        option=orjson.OPT_SORT_KEYS,
    )
