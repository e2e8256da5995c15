"""The states of one partition's groups, by key: in memory, bounded, changed a run at a time. Pure.

What a run changes is staged until the broker has it; then it is settled, or dropped as if the run
had not been. Within a rule the groups stand in the order in which they were last touched.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

SEPARATOR: Final = b"\x1f"  # between the parts of a key; the first is the rule's id


def rule_of(key: bytes) -> bytes:
    """Return the rule that a key belongs to."""
    return key.split(SEPARATOR, 1)[0]


class Groups:
    """Bytes by key, never more than `groups_max` of them once a run is settled."""

    def __init__(self, groups_max: int) -> None:
        self._groups_max = groups_max
        self._rules: dict[bytes, dict[bytes, bytes]] = {}
        self._staged: dict[bytes, bytes | None] = {}
        self._count = 0
        self._unswept: list[bytes] = []

    def __len__(self) -> int:
        return self._count

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all that is settled, by rule, least recently touched first."""
        for states in self._rules.values():
            yield from states.items()

    def sizes(self) -> Mapping[bytes, int]:
        """Return how many groups each rule has."""
        return {rule: len(states) for rule, states in self._rules.items()}

    def load(self, key: bytes, state: bytes | None) -> None:
        """Take what the journal says of a group; the last word counts."""
        rule = rule_of(key)
        states = self._rules.get(rule)
        if states is None:
            if state is None:
                return
            states = self._rules[rule] = {}
        if states.pop(key, None) is not None:
            self._count -= 1
        if state is not None:
            states[key] = state  # at the end: the most recently touched
            self._count += 1

    def get(self, key: bytes) -> bytes | None:
        """Return a group's state as the run so far left it."""
        if key in self._staged:
            return self._staged[key]
        return self._settled(key)

    def put(self, key: bytes, state: bytes | None) -> None:
        """Stage a group's new state, or with None its end."""
        if state is None and self._settled(key) is None:
            self._staged.pop(key, None)  # nobody ever knew of it
            return
        self._staged.pop(key, None)
        self._staged[key] = state

    @property
    def changes(self) -> Mapping[bytes, bytes | None]:
        """What the run changed: to be written before it is settled."""
        return self._staged

    def settle(self) -> None:
        """Make what was staged the state: the broker has it."""
        for key, state in self._staged.items():
            self.load(key, state)
        self._staged = {}

    def drop(self) -> None:
        """Forget what was staged."""
        self._staged = {}

    def shed(self, on_gone: Callable[[bytes], object] = lambda _key: None) -> Counter[bytes]:
        """Stage the end of groups that are too many; return how many each rule loses.

        The rule with the most groups loses those that were least recently touched. A hundredth
        more than needed, so that the next run need not again.
        """
        sizes = Counter(self.sizes())
        for key, state in self._staged.items():
            sizes[rule_of(key)] += (state is not None) - (self._settled(key) is not None)
        excess = sizes.total() - self._groups_max
        lost: Counter[bytes] = Counter()
        if excess <= 0:
            return lost
        step = 1 + self._groups_max // 100
        excess += step
        while excess > 0 and sizes.total():
            (rule, most), *others = sizes.most_common(2)
            second = others[0][1] if others else 0
            victims = self._oldest(rule, min(excess, most, max(most - second, step)))
            for key in victims:
                self.put(key, None)
                on_gone(key)
            sizes[rule] -= len(victims)
            lost[rule] += len(victims)
            excess -= len(victims)
        return lost

    def sweep(self, count: int) -> list[tuple[bytes, bytes]]:
        """Return the next so many groups of a pass over all; nothing when the pass is over."""
        found: list[tuple[bytes, bytes]] = []
        while self._unswept and len(found) < count:
            key = self._unswept.pop()
            if key not in self._staged and (state := self._settled(key)) is not None:
                found.append((key, state))
        return found

    def begin_sweep(self) -> None:
        """Begin a pass over all that is there now."""
        self._unswept = [key for states in self._rules.values() for key in states]

    def _settled(self, key: bytes) -> bytes | None:
        states = self._rules.get(rule_of(key))
        return None if states is None else states.get(key)

    def _oldest(self, rule: bytes, count: int) -> list[bytes]:
        """Return the rule's least recently touched keys; those of this run come last."""
        settled = (key for key in self._rules.get(rule, {}) if key not in self._staged)
        found = list(islice(settled, count))
        if len(found) < count:
            fresh = (k for k, s in self._staged.items() if s is not None and rule_of(k) == rule)
            found += islice(fresh, count - len(found))
        return found
