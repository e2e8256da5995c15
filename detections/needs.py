"""What an event must have for any rule of a set to match it, as far as a store's columns tell.

A backtest reads only such events. What is needed is necessary, never sufficient: the rules
themselves decide. Pure.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from detections.sigma.ruleset import RuleSet, SigmaRule
from detections.sigma.tree import And, Leaf, Or, Tree
from detections.sigma.view import NATIVE, SOURCES
from schemas.actions import ACTIONS

# Fields whose values are lower case by their nature, so that folding changes nothing.
COLUMNS: Final = (
    "action",
    "category",
    "verb",
    "result",
    "has_changes",
    "protected",
    "off_hours",
)
VALUES_MAX: Final = 1_000
PARTS_MAX: Final = 100
WAYS_MAX: Final = 8  # of one rule
_KINDS: Final = frozenset(action.category for action in ACTIONS.values()) | {"other"}
_INSIDE: Final = ("contains", "starts", "ends")


@dataclass(frozen=True, slots=True)
class Need:
    """One way to matter: all of it must hold. Empty, it holds for every event.

    `prefix` begins the action; `values` has, by column, those that will do; one of `parts` is
    inside the action.
    """

    prefix: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    parts: tuple[str, ...]


def needs_of(ruleset: RuleSet, rules: Iterable[int]) -> tuple[Need, ...]:
    """Return the ways in which an event can matter to one of the rules, each once."""
    return tuple(
        dict.fromkeys(
            _need_of(ruleset.rules[index], way)
            for index in rules
            for way in _ways(ruleset.trees[index])
        )
    )


def _ways(tree: Tree) -> list[Tree]:
    """Take a condition apart into ways of which one must hold, as long as they are few."""
    match tree:
        case Or(parts):
            ways = [way for part in parts for way in _ways(part)]
            return ways if len(ways) <= WAYS_MAX else [tree]
        case And(parts):
            ways = [tree]
            for place, part in enumerate(parts):
                branches = _ways(part)
                if len(branches) > 1 and len(ways) * len(branches) <= WAYS_MAX:
                    ways = [_with(way, place, branch) for way in ways for branch in branches]
            return ways
        case _:
            return [tree]


def _with(tree: Tree, place: int, part: Tree) -> Tree:
    """Return a conjunction with one part put in the place of another."""
    assert isinstance(tree, And), "only these are taken apart"
    return And((*tree.parts[:place], part, *tree.parts[place + 1 :]))


def _need_of(rule: SigmaRule, tree: Tree) -> Need:
    category, product, _ = rule.logsource
    prefix = next((f"{source.prefix}." for source in SOURCES if source.product == product), "")
    if prefix:  # the tree is about the record inside, not about our columns
        return Need(prefix, (), ())
    if product != NATIVE:  # a rule without a product may be shown to any log
        return Need("", (), ())
    found: dict[str, frozenset[str]] = {}
    for column in COLUMNS:
        allowed = _allowed(tree, column)
        if column == "category" and category in _KINDS:
            one = frozenset((category,))
            allowed = one if allowed is None else allowed & one
        if allowed is not None and len(allowed) <= VALUES_MAX:
            found[column] = allowed
    values = tuple((column, tuple(sorted(texts))) for column, texts in found.items())
    return Need("", values, () if "action" in found else _inside(tree) or ())


def _allowed(tree: Tree, column: str) -> frozenset[str] | None:
    """Return the values of which a column must have one; None if it may have any."""
    match tree:
        case Leaf(field, "equals", operand) if field == column:
            return frozenset(operand)
        case And(parts):
            return _join(
                [found for part in parts if (found := _allowed(part, column)) is not None],
                lambda one, other: one & other,
            )
        case Or(parts):
            branches = [_allowed(part, column) for part in parts]
            if any(branch is None for branch in branches):
                return None
            return frozenset().union(*(branch for branch in branches if branch is not None))
        case _:
            return None


def _join(
    found: Sequence[frozenset[str]],
    both: Callable[[frozenset[str], frozenset[str]], frozenset[str]],
) -> frozenset[str] | None:
    if not found:
        return None
    joined = found[0]
    for other in found[1:]:
        joined = both(joined, other)
    return joined


def _inside(tree: Tree) -> tuple[str, ...] | None:
    """Return texts of which one must be inside the action; None if none must."""
    match tree:
        case Leaf("action", kind, operand) if kind in (*_INSIDE, "equals"):
            texts = tuple(sorted(operand))
            return texts if all(texts) and len(texts) <= PARTS_MAX else None
        case And(parts):
            found = [inside for part in parts if (inside := _inside(part))]
            return min(found, key=len) if found else None
        case Or(parts):
            branches = [_inside(part) for part in parts]
            if not all(branches):
                return None
            together = tuple(dict.fromkeys(t for branch in branches for t in branch or ()))
            return together if len(together) <= PARTS_MAX else None
        case _:
            return None
