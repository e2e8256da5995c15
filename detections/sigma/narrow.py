"""Our own events: what a few fields decide is decided once for all events that share them.

A platform has some hundreds of actions, a few roles and services; for each combination most
conditions of most rules are settled. What is left of the rules is remembered, and is all that is
asked of an event. Combinations that come only once are not remembered: a flood of new ones costs
the index, no more.
"""

from collections.abc import Mapping
from operator import itemgetter
from typing import Final, NamedTuple

from detections.rule import Derived, Fields
from detections.sigma.compiled import Compiler
from detections.sigma.glance import Glance, Marks
from detections.sigma.index import Index
from detections.sigma.look import Look
from detections.sigma.predicates import Test
from detections.sigma.settling import settle
from detections.sigma.tree import Leaf, Tree, walk
from detections.sigma.view import DERIVED_FLAGS

KEYS_MAX: Final = 4_096  # remembered; then all are forgotten, and the live ones come back at once
SEEN_MAX: Final = 16_384
RULES_MAX: Final = 512  # of one category; narrowing more would take longer than an event may
REST_MAX: Final = 16  # rules that are faster tried one by one than found by an index

# Fields of few values, by the attribute of `Derived` that has them; beside action and source.
SETTLED: Final[Mapping[str, str]] = {
    "category": "category",
    "verb": "verb",
    "result": "result",
    "role": "role",
    "user_status": "user_status",
    "data_class": "data_class",
    **DERIVED_FLAGS,
}

_Key = tuple[str, str | None, object]


class Rest(NamedTuple):
    """What is left of the rules for the events of one key."""

    sure: tuple[int, ...]  # rules that match every such event
    finder: Index | None  # of those that are left, if they are many
    glance: Glance | None  # at those that are left, if they are few
    tests: Mapping[int, Test]


class Narrowed:
    """The rules of one category, by what is left of them for an event's key."""

    def __init__(self, trees: Mapping[int, Tree]) -> None:
        used = {leaf.field for tree in trees.values() for leaf in walk(tree)}
        self._settled = frozenset(used & {"action", "source", *SETTLED})
        places = [Derived._fields.index(SETTLED[field]) for field in sorted(used & SETTLED.keys())]
        self._tell = itemgetter(*places) if places else lambda _derived: ()
        self._trees = trees
        self._marks = Marks(trees.values())
        self._rests: dict[_Key, Rest] = {}
        self._seen: set[_Key] = set()

    def rest_of(self, fields: Fields, derived: Derived) -> Rest | None:
        """Return what is left for an event; None if its like was not seen before."""
        source = fields.get("source")
        key = (fields["action"], source, self._tell(derived))
        rest = self._rests.get(key)
        if rest is not None:
            return rest
        if key not in self._seen:
            if len(self._seen) >= SEEN_MAX:
                self._seen.clear()
            self._seen.add(key)
            return None
        if len(self._rests) >= KEYS_MAX:
            self._rests.clear()
        rest = self._rests[key] = self._narrow(Look(fields, derived, is_native=True))
        return rest

    def _is_settled(self, leaf: Leaf) -> bool:
        fields = self._settled
        return leaf.field in fields and (leaf.kind != "same_as" or leaf.operand[0] in fields)

    def _narrow(self, look: Look) -> Rest:
        sure: list[int] = []
        left: dict[int, Tree] = {}
        for number, tree in self._trees.items():
            settled = settle(tree, self._is_settled, look)
            if settled is True:
                sure.append(number)
            elif settled is not False:
                left[number] = settled
        compiler = Compiler(left.values(), is_native=True)
        tests = {number: compiler.compile(tree) for number, tree in left.items()}
        if len(left) > REST_MAX:
            return Rest(tuple(sure), Index(left, is_native=True), None, tests)
        return Rest(tuple(sure), None, Glance(tuple(sure), left, tests, self._marks), tests)
