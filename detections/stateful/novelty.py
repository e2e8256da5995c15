"""First seen and dormant: what was never seen before, or not for long, by whole days. Pure.

Days are those of the broker's time in UTC. Within a day only the first sight of a value counts,
so that stage 1 need not send the others.
"""

from typing import Final

import orjson

from detections.stateful.memory import Body, Crossing, Memory
from detections.stateful.release import Item

DAY_MS: Final = 86_400_000
VALUES_MAX: Final = 1_000  # of a group; the one not seen for longest goes, and is new again
VALUES_BYTES_MAX: Final = 400_000  # likewise: a state has an end, and long texts are cheap to make
VALUES_UNWEIGHED_MAX: Final = 200  # texts that are within that whatever they are

_FIRST, _LAST, _VALUES = range(3)


class FirstSeen:
    """A value that a group has not shown for `expiry_days`, once `learning_days` are over.

    A group that was silent for `expiry_days` learns anew. Known: first day, last day, and for
    each value the last day. `field` names the value in the alert.
    """

    def __init__(self, field: str, learning_days: int, expiry_days: int) -> None:
        self.retention_ms: Final = (expiry_days + 1) * DAY_MS
        self._field: Final = field
        self._learning_days: Final = learning_days
        self._expiry_days: Final = expiry_days

    def fresh(self) -> Body:
        """Return that nothing was seen, as `Fold.fresh` promises."""
        return [None, None, {}]

    def bucket_of(self, item: Item) -> int:
        """Return the day."""
        return item.recorded_ms // DAY_MS

    def is_nil(self, known: Body, item: Item) -> bool:
        """Say whether the value was seen on this day, as `Fold.is_nil` promises."""
        return bool(known[_VALUES].get(item.value) == item.recorded_ms // DAY_MS)

    def take(self, memory: Memory, known: Body, item: Item) -> None:
        """Cross if the value is new, and remember it."""
        day = item.recorded_ms // DAY_MS
        if known[_LAST] is not None and day - known[_LAST] > self._expiry_days:
            known[:] = self.fresh()
        if known[_FIRST] is None:
            known[_FIRST] = day
        known[_LAST] = day if known[_LAST] is None else max(known[_LAST], day)
        values: dict[str, int] = known[_VALUES]
        seen = values.get(item.value)
        values[item.value] = day if seen is None else max(seen, day)
        if seen is None:
            _thin(memory, values)
        is_new = seen is None or day - seen > self._expiry_days
        if is_new and day - known[_FIRST] >= self._learning_days:
            words = (("value", item.value), ("known", str(len(values) - 1)))
            memory.note(_crossing(day, item, f"{self._field}={item.value}", words))

    def tick(self, _memory: Memory, _known: Body) -> None:
        """Do nothing: only entries matter."""

    def due_ms(self, _known: Body) -> int | None:
        """Return None: only entries matter."""
        return None

    def last_ms(self, known: Body) -> int | None:
        """Return the end of the last day."""
        return None if known[_LAST] is None else (known[_LAST] + 1) * DAY_MS


def _thin(memory: Memory, values: dict[str, int]) -> None:
    """Forget the values not seen for longest when there are too many, or too much of them."""
    surplus = 0
    if len(values) > VALUES_UNWEIGHED_MAX:
        surplus = sum(map(_size, values)) - VALUES_BYTES_MAX
    while len(values) > VALUES_MAX or surplus > 0:
        oldest = min(values, key=lambda value: (values[value], value))
        surplus -= _size(oldest)
        memory.thinned += 1
        del values[oldest]


def _size(value: str) -> int:
    return len(orjson.dumps(value))  # as the state has it: a control character takes six bytes


class Dormant:
    """A group that acts after more than `asleep_days` without any event. Known: its last day.

    After `forget_days` it counts as never seen.
    """

    def __init__(self, asleep_days: int, forget_days: int) -> None:
        self.retention_ms: Final = (forget_days + 1) * DAY_MS
        self._asleep_days: Final = asleep_days
        self._forget_days: Final = forget_days

    def fresh(self) -> Body:
        """Return that nothing was seen, as `Fold.fresh` promises."""
        return [None]

    def bucket_of(self, item: Item) -> int:
        """Return the day."""
        return item.recorded_ms // DAY_MS

    def is_nil(self, known: Body, item: Item) -> bool:
        """Say whether the group was seen on this day, as `Fold.is_nil` promises."""
        return bool(known[0] == item.recorded_ms // DAY_MS)

    def take(self, memory: Memory, known: Body, item: Item) -> None:
        """Cross if the group was asleep for long."""
        day = item.recorded_ms // DAY_MS
        asleep = 0 if known[0] is None else day - known[0]
        known[0] = day if known[0] is None else max(known[0], day)
        if self._asleep_days < asleep <= self._forget_days:
            memory.note(_crossing(day, item, "", (("days", str(asleep)),)))

    def tick(self, _memory: Memory, _known: Body) -> None:
        """Do nothing: only entries matter."""

    def due_ms(self, _known: Body) -> int | None:
        """Return None: only entries matter."""
        return None

    def last_ms(self, known: Body) -> int | None:
        """Return the end of the last day."""
        return None if known[0] is None else (known[0] + 1) * DAY_MS


def _crossing(day: int, item: Item, label: str, words: tuple[tuple[str, str], ...]) -> Crossing:
    return Crossing(
        day, item.who[:1], 1, item.occurred_ms, item.recorded_ms, item.who, label, words
    )
