"""A clock that only moves when told to."""


class FakeClock:
    """Both times of `runtime.clock.Clock`; `jump` moves the time of day alone, as an admin does."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_s = 0.0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        assert seconds >= 0, "time does not run backwards; see jump"
        self._now_ms += round(seconds * 1_000)
        self._monotonic_s += seconds

    def jump(self, milliseconds: int) -> None:
        self._now_ms += milliseconds

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
