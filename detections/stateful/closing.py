"""Conditions that more events can undo: judged once, when an aligned window is complete. Pure.

Below or exactly a number, averages, percentiles. A window is [k * span, (k + 1) * span); it is
complete when the watermark has passed its end by the grace. A window without any event of the
group is not judged: of a group that never speaks nobody knows. Which windows were judged is kept
as long as repeats can come: a part of a window would be judged wrongly.
"""

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from detections.stateful.adding import SCALE, scaled
from detections.stateful.memory import Body, Crossing, Memory
from detections.stateful.presence import value_of
from schemas.signal import Entry

DISTINCT_MAX: Final = 4_096  # different values of a window
WINDOWS_MAX: Final = 100  # of a group that are open at once; only a stopped watermark makes more
IDS_MAX: Final = 20

COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
    "neq": operator.ne,
}
# Members of an open window.
_EVENTS, _TOTAL, _VALUES, _IDS, _LAST = range(5)


class Closing:
    """`measure` is a correlation type; `bounds` must all hold.

    Body: window -> what was measured in it; the first window that is not judged.
    """

    def __init__(
        self,
        measure: str,
        span_ms: int,
        grace_ms: int,
        bounds: tuple[tuple[str, float], ...],
        percentile: int,
    ) -> None:
        self.bucket_ms: Final = span_ms
        self.retention_ms: Final = 0
        self._measure: Final = measure
        self._span_ms: Final = span_ms
        self.grace_ms: Final = grace_ms
        self._bounds: Final = [
            (COMPARED[name], Fraction(round(bound * SCALE), SCALE)) for name, bound in bounds
        ]
        self._percentile: Final = percentile

    def fresh(self) -> Body:
        """Return no windows and none judged, as `Machine.fresh` promises."""
        return [{}, None]

    def add(self, memory: Memory, entry: Entry, _partition: int) -> None:
        """Measure one event in its window."""
        bucket = entry[1] // self._span_ms
        windows, judged = memory.body
        is_over = memory.watermark_ms and self._complete_ms(bucket) <= memory.watermark_ms
        if is_over or (judged is not None and bucket < judged):
            memory.missed += 1
            return
        value = self._read(entry)
        if value is None:
            return
        last = [entry[2], entry[1], list(entry[5])]
        window = windows.setdefault(str(bucket), [0, 0, {}, [], last])
        window[_EVENTS] += 1
        if self._measure in ("value_sum", "value_avg"):
            window[_TOTAL] += value
        elif self._measure != "event_count":
            self._collect(memory, window[_VALUES], str(value))
        if len(window[_IDS]) < IDS_MAX:
            window[_IDS].append(entry[5][0])
        window[_LAST] = max(window[_LAST], last)

    def advance(self, memory: Memory) -> None:
        """Judge the windows that are complete, in their order."""
        windows = memory.body[0]
        for bucket in sorted(map(int, windows)):
            is_over = self._complete_ms(bucket) <= memory.watermark_ms
            if not is_over and len(windows) <= WINDOWS_MAX:
                break
            memory.thinned += not is_over
            memory.body[1] = bucket + 1
            window = windows.pop(str(bucket))
            measured = self._evaluate(window)
            if all(holds(measured, bound) for holds, bound in self._bounds):
                recorded_ms, occurred_ms, who = window[_LAST]
                words = (("value", f"{float(measured):g}"),)
                memory.note(
                    Crossing(
                        bucket,
                        window[_IDS],
                        window[_EVENTS],
                        occurred_ms,
                        recorded_ms,
                        who,
                        words=words,
                    )
                )

    def due_ms(self, body: Body) -> int | None:
        """Return when the oldest window is complete."""
        return self._complete_ms(min(map(int, body[0]))) if body[0] else None

    def last_ms(self, body: Body) -> int | None:
        """Return the end of the latest window, open or judged."""
        windows, judged = body
        if windows:
            return (max(map(int, windows)) + 1) * self._span_ms
        return None if judged is None else judged * self._span_ms

    def _complete_ms(self, bucket: int) -> int:
        return (bucket + 1) * self._span_ms + self.grace_ms

    def _read(self, entry: Entry) -> int | str | None:
        if self._measure == "event_count":
            return 1
        return value_of(entry) if self._measure == "value_count" else scaled(entry[4])

    def _collect(self, memory: Memory, values: dict[str, int], value: str) -> None:
        if value in values or len(values) < DISTINCT_MAX:
            values[value] = values.get(value, 0) + 1
        else:
            memory.thinned += 1

    def _evaluate(self, window: list[Any]) -> Fraction:
        """Return what a whole window comes to."""
        if self._measure == "event_count":
            return Fraction(window[_EVENTS])
        if self._measure == "value_count":
            return Fraction(len(window[_VALUES]))
        if self._measure == "value_sum":
            return Fraction(window[_TOTAL], SCALE)
        if self._measure == "value_avg":
            return Fraction(window[_TOTAL], SCALE * window[_EVENTS])
        return percentile(window[_VALUES], self._percentile) / SCALE


def percentile(counts: dict[str, int], share: int) -> Fraction:
    """Return the value below which `share` hundredths lie, linear between neighbours."""
    values = sorted((int(value), count) for value, count in counts.items())
    rank = Fraction(share * (sum(counts.values()) - 1), 100)
    lower = _at(values, int(rank))
    return lower + (rank - int(rank)) * (_at(values, int(rank) + 1) - lower)


def _at(values: list[tuple[int, int]], rank: int) -> int:
    for value, count in values:
        if rank < count:
            return value
        rank -= count
    return values[-1][0]
