"""Up to which broker time everything has been seen: the least of the sources' clocks. Pure."""

from collections.abc import Callable
from typing import Final

from pipeline.clocks import Clocks

IDLE_S: Final = 300.0  # a source of which nothing was heard for so long holds nobody up
PAST_MAX: Final = 8  # incarnations that are known to be over


class Watermark:
    """Hears clocks, in the order in which one partition of the signals has them.

    A source that reads nothing is told of by its worker; so one that is silent has no worker, or
    one that is far behind: it is waited for, and left out after `idle_s`. The time is known once
    every source of the topic was heard, or after `idle_s`; it never goes back.
    """

    def __init__(self, monotonic: Callable[[], float], idle_s: float = IDLE_S) -> None:
        self._monotonic = monotonic
        self._idle_s = idle_s
        self._incarnation = ""
        self._past: list[str] = []
        self._sources = 0
        self._clocks: dict[str, tuple[int, float]] = {}
        self._began_at = 0.0
        self._reached_ms: int | None = None

    def hear(self, told: Clocks) -> None:
        """Take clocks; those of an incarnation that is over say nothing."""
        incarnation = told.incarnation
        if incarnation in self._past:
            return
        now = self._monotonic()
        if incarnation != self._incarnation:
            if self._incarnation:
                self._past = [*self._past, self._incarnation][-PAST_MAX:]
            self._incarnation, self._clocks, self._began_at = incarnation, {}, now
        self._sources = told.sources
        for source, clock_ms in told.clocks_ms.items():
            known = self._clocks.get(source)
            if known is None or clock_ms > known[0]:
                self._clocks[source] = (clock_ms, now)

    def reach(self) -> int | None:
        """Return the time up to which all was seen, or nothing while that is not known."""
        now = self._monotonic()
        is_whole = len(self._clocks) >= self._sources or now - self._began_at > self._idle_s
        live = [ms for ms, at in self._clocks.values() if now - at <= self._idle_s]
        if is_whole and live:
            self._reached_ms = max(min(live), self._reached_ms or 0)
        return self._reached_ms
