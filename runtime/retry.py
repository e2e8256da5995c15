"""Trying again what was unavailable: waits that grow, scatter and have a bound."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, TypeVar

from runtime.clock import Clock, SystemClock
from schemas.errors import Unavailable

T = TypeVar("T")
DOUBLINGS_MAX: Final = 30  # past it every wait is at its maximum anyway, and 2**n stays small


class Uniform(Protocol):
    """The part of `random.Random` that is needed here."""

    def uniform(self, a: float, b: float) -> float:
        """Return a number between the two."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits with full jitter: attempt n (from 0) waits between 0 and min(max, initial * 2^n).

    Full jitter, because clients that failed together must not come back together.
    """

    initial_s: float
    max_s: float

    def __post_init__(self) -> None:
        assert 0 < self.initial_s <= self.max_s, "a backoff has 0 < initial ≤ max"

    def ceiling_s(self, attempt: int) -> float:
        """Return the longest wait after that many failures before this one. Never decreases."""
        return min(self.max_s, self.initial_s * 2.0 ** min(attempt, DOUBLINGS_MAX))

    def wait_s(self, attempt: int, rng: Uniform) -> float:
        """Return the wait to take, between 0 and `ceiling_s(attempt)`."""
        return rng.uniform(0.0, self.ceiling_s(attempt))


async def retry_unavailable(  # noqa: PLR0913 - each is a bound or a seam for tests
    call: Callable[[], Awaitable[T]],
    *,
    backoff: Backoff,
    deadline_s: float | None,
    is_wanted: Callable[[], bool] = lambda: True,
    on_retry: Callable[[Unavailable, float], None] = lambda _error, _wait_s: None,
    clock: Clock | None = None,
    rng: Uniform | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Call until it does not raise `Unavailable`; every other error passes at once.

    Gives up, raising the last `Unavailable`, when `deadline_s` would be over before the next
    try, or once `is_wanted` says no; without a deadline only the latter ends it. `on_retry` gets
    the error and the coming wait, for a metric or a log line.
    """
    ticks = clock or SystemClock()
    dice = rng or Random()  # noqa: S311 - scatters waits, guards nothing
    started = ticks.monotonic()
    attempt = 0
    while True:
        try:
            return await call()
        except Unavailable as error:
            wait_s = backoff.wait_s(attempt, dice)
            is_late = deadline_s is not None and ticks.monotonic() + wait_s - started > deadline_s
            if is_late or not is_wanted():
                raise
            on_retry(error, wait_s)
        await sleep(wait_s)
        attempt += 1
