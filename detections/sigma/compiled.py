"""Trees into functions; and the plain interpreter of trees, against which they are tested."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from detections.sigma.look import Look
from detections.sigma.predicates import Test, direct_test, to_test
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or, Tree, walk
from detections.sigma.view import reading_cost

ORACLE_TESTS_MAX: Final = 65_536
_PAIR: Final = 2


class Compiler:
    """Compiles trees; leaves that occur more than once are one predicate, judged once an event.

    `shared` counts the leaves of all trees that are to be compiled.
    """

    def __init__(self, trees: Iterable[Tree], *, is_native: bool = False) -> None:
        self._is_native = is_native
        self._uses = Counter(leaf for tree in trees for leaf in walk(tree))
        self._known: dict[Leaf, Test] = {}

    @property
    def predicates(self) -> int:
        """How many distinct predicates there are."""
        return len(self._uses)

    def compile(self, tree: Tree) -> Test:
        """Return the function that judges an event by a tree."""
        match tree:
            case Leaf():
                return self._leaf(tree)
            case Not(part):
                inner = self.compile(part)
                return lambda look: not inner(look)
            case And(parts):
                return _both([self.compile(part) for part in sorted(parts, key=_cost)])
            case Or(parts):
                return _either([self.compile(part) for part in sorted(parts, key=_cost)])
            case AtLeast(count, parts):
                tests = [self.compile(part) for part in parts]
                return lambda look: sum([test(look) for test in tests]) >= count

    def _leaf(self, leaf: Leaf) -> Test:
        known = self._known.get(leaf)
        if known is not None:
            return known
        direct = direct_test(leaf) if self._is_native else None
        if direct:
            self._known[leaf] = direct
            return direct
        test = to_test(leaf)
        if self._uses[leaf] > 1:
            test = _remember(test, len(self._known))
            self._known[leaf] = test
        return test


_COSTS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("equals", "null", "exists", "filled"), 1),
    **dict.fromkeys(("starts", "ends", "contains", "same_as"), 2),
    **dict.fromkeys(("glob", "compare", "part", "cidr"), 4),
    "regex": 8,
}


def _cost(tree: Tree) -> int:
    """Estimate what a part costs: the cheap are asked first, their order changes no answer."""
    match tree:
        case Leaf(field, kind):
            return _COSTS[kind] + reading_cost(field)
        case Not(part):
            return _cost(part)
        case And(parts) | Or(parts) | AtLeast(_, parts):
            return sum(_cost(part) for part in parts)


def _remember(test: Test, number: int) -> Test:
    def remembered(look: Look) -> bool:
        known = look.memo.get(number)
        if known is None:
            known = look.memo[number] = test(look)
        return known

    return remembered


def _both(tests: Sequence[Test]) -> Test:
    if len(tests) == _PAIR:  # a third of all are pairs: no loop for them
        first, second = tests
        return lambda look: first(look) and second(look)

    def test(look: Look) -> bool:
        for part in tests:
            if not part(look):
                break
        else:  # a generator for all() would cost as much as the tests
            return True
        return False

    return test


def _either(tests: Sequence[Test]) -> Test:
    def test(look: Look) -> bool:
        for part in tests:
            if part(look):
                break
        else:
            return False
        return True

    return test


_test_of = lru_cache(maxsize=ORACLE_TESTS_MAX)(to_test)


def interpret(tree: Tree, look: Look) -> bool:
    """Judge by the tree as it stands: the oracle. No order, no sharing, no memory of answers."""
    match tree:
        case Leaf():
            return _test_of(tree)(look)
        case Not(part):
            return not interpret(part, look)
        case And(parts):
            return all(interpret(part, look) for part in parts)
        case Or(parts):
            return any(interpret(part, look) for part in parts)
        case AtLeast(count, parts):
            return sum(interpret(part, look) for part in parts) >= count
