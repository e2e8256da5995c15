"""Which alerts were handled already, in memory: the store is asked for old ones only. Pure."""

from collections.abc import Iterable
from typing import Final

IDS_MAX: Final = 100_000  # about 10 MiB; over it the oldest are left to the store


class Memory:
    """Bounded. Of what was recorded since `covers_ms` it knows each that was handled.

    Handled is what has a row of delivery, of whatever outcome: a kill before that row is written
    leaves the alert unhandled, and so it is sent.
    """

    def __init__(self, ids_max: int = IDS_MAX) -> None:
        self._ids_max = ids_max
        self._ids: dict[bytes, int] = {}
        self.covers_ms: float = float("inf")  # nothing, before the first `fill`

    def fill(self, handled: Iterable[tuple[str, int]], since_ms: int) -> None:
        """Add what the store says was handled of alerts recorded since then, oldest first."""
        self.covers_ms = since_ms
        for alert_id, recorded_ms in handled:
            self.add(alert_id, recorded_ms)

    def add(self, alert_id: str, recorded_ms: int) -> None:
        """Remember one; the one that came first goes when there is no room."""
        self._ids[bytes.fromhex(alert_id)] = recorded_ms
        while len(self._ids) > self._ids_max:
            first = next(iter(self._ids))
            self.covers_ms = max(self.covers_ms, self._ids.pop(first) + 1)

    def knows(self, alert_id: str, recorded_ms: int) -> bool | None:
        """Say whether it was handled; None if only the store can tell."""
        if bytes.fromhex(alert_id) in self._ids:
            return True
        return False if recorded_ms >= self.covers_ms else None
