"""Witnesses: for each rule a few facts of which an event must show one, if the rule is to match.

Two passes: count how many rules could use each fact, then take for each rule the facts that
fewest share. Choosing by kind alone gave a fourth to a sixth of the speed at 5,000 rules.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from detections.facts import FACTS
from detections.sigma.literals import literals_of_regex
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or, Tree, fold
from detections.sigma.view import reading_cost

# What a fact costs beside the number of rules that share it: an automaton's step costs more than
# a look into a dict, a scan of all texts far more, and that a field exists tells nearly nothing.
SUBSTRING_COST: Final = 4.0
KEYWORD_COST: Final = 1_000.0
PRESENCE_COST: Final = 10_000.0
FIELD_COST: Final = 6.0  # one more field to read of every event
SHORT_COST: Final = 64.0  # a literal of n characters costs this by n cubed

WitnessKind = Literal["is", "has", "keyword", "present"]


class Witness(NamedTuple):
    """A fact: a field is a text, has a text inside, or is there at all."""

    kind: WitnessKind
    field: str
    text: str


Facts = tuple[Witness, ...]


def facts_of(leaf: Leaf) -> Facts:
    """Return the facts of which one holds if the leaf does; () if there are none."""
    field = leaf.field
    match "null" if field in FACTS else leaf.kind:  # facts are worked out when a rule asks
        case "equals":
            return tuple(Witness("is", field, fold(text)) for text in leaf.operand)
        case "contains" | "starts" | "ends":
            return _having(field, leaf.operand)
        case "glob":
            texts = [part for part in leaf.operand if isinstance(part, str)]
            return _having(field, [max(texts, key=len)] if texts else [""])
        case "regex":
            return _having(field, literals_of_regex(leaf.operand) or [""])
        case "null":
            return ()
        case _:
            return (Witness("present", field, ""),)


def _having(field: str, texts: Iterable[str]) -> Facts:
    folded = [fold(text) for text in texts]
    if not all(folded):  # an empty text is inside every value
        return (Witness("present", field, ""),) if field else ()
    kind: WitnessKind = "has" if field else "keyword"
    return tuple(Witness(kind, field, text) for text in dict.fromkeys(folded))


class Prices:
    """What each fact costs among these rules: the first pass.

    The field by which most rules could be told is asked anyway; another one costs extra.
    """

    def __init__(self, trees: Iterable[Tree]) -> None:
        self._counts: Counter[Witness] = Counter()
        rules_by_field: Counter[str] = Counter()
        for tree in trees:
            facts = _all_facts(tree)
            self._counts.update(facts)
            rules_by_field.update({fact.field for fact in facts if fact.kind == "is"})
        self._main_field = max(rules_by_field, key=lambda f: (rules_by_field[f], f), default="")

    def choose(self, tree: Tree) -> Facts:
        """Return the cheapest facts for a rule; () if only trying it can tell: the second pass."""
        return _cheapest(tree, self)[1]

    def price(self, fact: Witness) -> float:
        """Return what a fact costs."""
        shared = float(self._counts[fact])
        if fact.field != self._main_field:
            shared += FIELD_COST + reading_cost(fact.field)
        match fact.kind:
            case "is":
                return shared
            case "has":
                return shared * (SUBSTRING_COST + SHORT_COST / len(fact.text) ** 3)
            case "keyword":
                return shared + KEYWORD_COST
            case "present":
                return shared * PRESENCE_COST


def _all_facts(tree: Tree) -> set[Witness]:
    found: set[Witness] = set()
    stack = [tree]
    while stack:
        node = stack.pop()
        match node:
            case Leaf():
                found.update(facts_of(node))
            case And(parts) | Or(parts) | AtLeast(_, parts):
                stack.extend(parts)
            case Not():
                pass
    return found


_NEVER: Final = float("inf")
_Priced = tuple[float, Facts]


def _cheapest(tree: Tree, prices: Prices) -> _Priced:
    match tree:
        case Leaf():
            facts = facts_of(tree)
            return (sum(prices.price(fact) for fact in facts), facts) if facts else (_NEVER, ())
        case And(parts):
            return min((_cheapest(part, prices) for part in parts), key=_price_of)
        case Or(parts):
            return _together([_cheapest(part, prices) for part in parts])
        case AtLeast(count, parts):
            priced = sorted((_cheapest(part, prices) for part in parts), key=_price_of)
            return _together(priced[: len(parts) - count + 1])  # one of so many must hold
        case Not():
            return _NEVER, ()


def _price_of(priced: _Priced) -> float:
    return priced[0]


def _together(branches: Sequence[_Priced]) -> _Priced:
    if any(not facts for _, facts in branches):
        return _NEVER, ()
    union = dict.fromkeys(fact for _, facts in branches for fact in facts)
    return sum(price for price, _ in branches), tuple(union)
