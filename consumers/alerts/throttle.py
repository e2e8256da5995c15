"""How often a rule may page and a target be paged: buckets that delay and never drop. Pure."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MINUTE_MS: Final = 60_000
KEYS_MAX: Final = 10_000  # buckets kept; the least recently used is full again when it is made anew


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a minute, and `burst` at once after a quiet time; 0 a minute is no limit."""

    per_minute: float = 0.0
    burst: int = 1


class Bucket:
    """Tokens that come back with time.

    Whoever finds it empty reserves the next token, and all who come until then wait for the same
    moment: they go out as one message, on one token. So a flood costs `per_minute` messages a
    minute, however many alerts it has.
    """

    __slots__ = ("_at_ms", "_rate", "_reserved_ms", "_tokens")

    def __init__(self, rate: Rate, now_ms: int) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at_ms = now_ms
        self._reserved_ms = now_ms

    def take(self, now_ms: int) -> int:
        """Return when to send: now, or the moment of the next token."""
        if now_ms < self._at_ms:  # the clock was set back: what it said before is no measure
            self._at_ms = self._reserved_ms = now_ms
        if now_ms < self._reserved_ms:
            return self._reserved_ms
        gained = max(0, now_ms - self._at_ms) * self._rate.per_minute / MINUTE_MS
        self._tokens = min(float(self._rate.burst), self._tokens + gained)
        self._at_ms = now_ms
        self._tokens -= 1.0
        if self._tokens < 0:
            self._reserved_ms = now_ms + round(-self._tokens * MINUTE_MS / self._rate.per_minute)
        return max(now_ms, self._reserved_ms)


class Throttle:
    """The buckets of one process by key; all are full when it starts. Bounded."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._buckets: OrderedDict[tuple[str, ...], Bucket] = OrderedDict()

    def take(self, key: tuple[str, ...], rate: Rate, now_ms: int) -> int:
        """Return when what is counted under `key` may be sent: now or later, never never."""
        if not rate.per_minute:
            return now_ms
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(rate, now_ms)
            while len(self._buckets) > self._keys_max:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take(now_ms)
