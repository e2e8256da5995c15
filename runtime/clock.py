"""The only place that reads the time of day; everything else is handed a `Clock`."""

import time
from typing import Protocol


class Clock(Protocol):
    """The two times there are: one that people read, and one that never goes back."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC, as the machine believes; may jump either way."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. For waits and ages."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """As `Clock.now_ms` promises."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """As `Clock.monotonic` promises."""
        return time.monotonic()
