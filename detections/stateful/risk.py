"""Risk that adds up: findings of one user or session, halved with age. Decided at once. Pure.

The score at a finding t is the sum of risk * 2^(-age / half-life) over the findings of the last
seven half-lives, where one rule contributes at most `rule_max`. S holds the findings at which it
reaches the line; all terms are positive, so more findings only add to S, and sums are exact
(fsum), so their order does not matter. Source: the idea of risk-based alerting as the manual of
Splunk Enterprise Security describes it; the decay is ours.
"""

from bisect import bisect_left, bisect_right, insort
from math import fsum
from typing import Any, Final

from detections.stateful.memory import EVENT_IDS_MAX, Body, Crossing, Memory
from schemas.signal import CHAINED, Entry

HALF_LIVES: Final = 7  # after which less than a hundredth is left
FINDINGS_MAX: Final = 500  # of a group; the oldest go
REASONS_SHOWN: Final = 5
_PARTS: Final = 2  # of a value: risk, and the rule that found it


class Risk:
    """Body: findings [time, risk, rule, event id, whether an alert] in order."""

    def __init__(
        self, line: float, half_life_ms: int, repeat_ms: int, rule_max: float, grace_ms: int
    ) -> None:
        self.bucket_ms: Final = repeat_ms
        self.retention_ms: Final = HALF_LIVES * half_life_ms
        self._line: Final = line
        self._half_life_ms: Final = half_life_ms
        self._rule_max: Final = rule_max
        self.grace_ms: Final = grace_ms

    def fresh(self) -> Body:
        """Return no findings, as `Machine.fresh` promises."""
        return []

    def add(self, memory: Memory, entry: Entry, partition: int) -> None:
        """Insert one finding and look at the scores that it adds to."""
        value, at = entry[4], entry[1]
        if type(value) is not list or len(value) != _PARTS:
            return
        risk = value[0]
        if not isinstance(risk, int | float) or risk <= 0:
            return
        oldest = memory.watermark_ms - self.grace_ms - self.retention_ms
        if memory.watermark_ms and at < oldest:
            memory.missed += 1
            return
        item = [at, risk, str(value[1]), entry[5][0], int(partition == CHAINED)]
        if partition == CHAINED and item in memory.body:
            return  # an alert sent once more
        insort(memory.body, item)
        self._look(memory, entry)

    def advance(self, memory: Memory) -> None:
        """Forget what has decayed."""
        body = memory.body
        if memory.watermark_ms:
            oldest = memory.watermark_ms - self.grace_ms - self.retention_ms
            del body[: bisect_left(body, [oldest])]
        if (surplus := len(body) - FINDINGS_MAX) > 0:
            memory.thinned += surplus
            del body[:surplus]

    def due_ms(self, _body: Body) -> int | None:
        """Return None: everything is decided at once."""
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the latest time, as `Machine.last_ms` promises."""
        return body[-1][0] if body else None

    def _look(self, memory: Memory, entry: Entry) -> None:
        """Cross the buckets of all findings from this one on at which the line is reached."""
        body, at = memory.body, entry[1]
        for end in sorted({item[0] for item in body if at <= item[0] <= at + self.retention_ms}):
            bucket = end // self.bucket_ms
            if bucket in memory.alerted:
                continue
            first = bisect_left(body, [end - self.retention_ms])
            window = body[first : bisect_right(body, end, key=lambda item: item[0])]
            shares = self._shares(window, end)
            score = fsum(shares.values())
            if score >= self._line:
                memory.cross(_crossing(bucket, window, shares, entry))

    def _shares(self, window: list[list[Any]], end: int) -> dict[str, float]:
        """Return what each rule contributes at a moment."""
        terms: dict[str, list[float]] = {}
        for at, risk, rule, *_ in window:
            decayed = risk * 2.0 ** ((at - end) / self._half_life_ms)
            terms.setdefault(rule, []).append(decayed)
        return {rule: min(self._rule_max, fsum(decayed)) for rule, decayed in terms.items()}


def _crossing(
    bucket: int, window: list[list[Any]], shares: dict[str, float], entry: Entry
) -> Crossing:
    """List what the score is made of, the largest share first."""
    counts: dict[str, int] = {}
    for item in window:
        counts[item[2]] = counts.get(item[2], 0) + 1
    largest = sorted(shares, key=lambda rule: (-shares[rule], rule))
    shown = [f"{rule} x{counts[rule]} ({shares[rule]:.0f})" for rule in largest[:REASONS_SHOWN]]
    if len(largest) > REASONS_SHOWN:
        shown.append(f"{len(largest) - REASONS_SHOWN} more")
    ids = tuple(dict.fromkeys(item[3] for item in window if not item[4]))
    words = (("score", f"{fsum(shares.values()):.0f}"), ("reasons", ", ".join(shown)))
    return Crossing(
        bucket,
        ids[-EVENT_IDS_MAX:],
        len(window),
        entry[1],
        entry[2],
        entry[5],
        words=words,
    )
