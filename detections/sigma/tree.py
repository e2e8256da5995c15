"""A rule's condition as plain data: and, or, not over leaves that each look at one field."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from detections.sigma.faults import BadRule

LEAVES_MAX: Final = 20_000  # of one rule; a list of addresses may be long
DEPTH_MAX: Final = 64

Kind = Literal[
    "equals",  # operand: frozenset of texts, one of which the value is
    "contains",  # operand: tuple of texts, one of which is inside the value
    "starts",
    "ends",
    "glob",  # operand: tuple of texts, ANY and ONE
    "regex",  # operand: an RE2 pattern
    "cidr",  # operand: a network
    "compare",  # operand: (operator, number, part of a time or "")
    "part",  # operand: (part of a time, number)
    "same_as",  # operand: (other field, may start, may end)
    "null",
    "exists",
    "filled",
]


class Wildcard(NamedTuple):
    """A part of a glob that is no text."""

    name: str


ANY: Final = Wildcard("*")
ONE: Final = Wildcard("?")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One look at one field; field '' is a keyword: any text value of the event.

    Operands of leaves that are not `cased` are folded.
    """

    field: str
    kind: Kind
    operand: Any = None
    cased: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """Every part holds."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Tree"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """So many of the parts hold (`2 of selection_*`); more than one, fewer than all."""

    count: int
    parts: "tuple[Tree, ...]"


Tree = Leaf | And | Or | Not | AtLeast

_FINAL_SIGMA: Final = "\u03c2"  # lower() writes it at the end of words only
_SIGMA: Final = "\u03c3"
_MERGED: Final = frozenset({"equals", "contains", "starts", "ends"})


def fold(text: str) -> str:
    """Return the text as it is compared: Unicode lower case, any sigma the same."""
    text = text.lower()
    return text if text.isascii() else text.replace(_FINAL_SIGMA, _SIGMA)


def all_of(parts: list[Tree]) -> Tree:
    """Join by and; one part stays itself."""
    if len(parts) == 1:
        return parts[0]
    flat: list[Tree] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, And) else (part,))
    distinct = list(dict.fromkeys(flat))
    return distinct[0] if len(distinct) == 1 else And(tuple(distinct))


def any_of(parts: list[Tree]) -> Tree:
    """Join by or; leaves that differ only in their texts become one."""
    if len(parts) == 1:
        return parts[0]
    flat: list[Tree] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Or) else (part,))
    joined: dict[object, list[Any]] = {}
    first: dict[object, Tree] = {}
    for part in flat:
        key: object = part
        if isinstance(part, Leaf) and part.kind in _MERGED:
            key = (part.field, part.kind, part.cased)
            joined.setdefault(key, []).extend(part.operand)
        first.setdefault(key, part)
    done = [
        _merge(part, joined[key]) if key in joined and isinstance(part, Leaf) else part
        for key, part in first.items()
    ]
    return done[0] if len(done) == 1 else Or(tuple(done))


def _merge(first: Leaf, texts: list[str]) -> Leaf:
    is_set = first.kind == "equals"
    operand = frozenset(texts) if is_set else tuple(dict.fromkeys(texts))
    return Leaf(first.field, first.kind, operand, first.cased)


def none_of(part: Tree) -> Tree:
    """Negate; twice is nothing."""
    return part.part if isinstance(part, Not) else Not(part)


def at_least(count: int, parts: list[Tree]) -> Tree:
    """Join by a count."""
    if count > len(parts):
        raise BadRule(f"asks for {count} of {len(parts)} selections", "detection.condition")
    if count == 1:
        return any_of(parts)
    return all_of(parts) if count == len(parts) else AtLeast(count, tuple(parts))


def walk(tree: Tree) -> Iterator[Leaf]:
    """Yield every leaf, those under a not as well."""
    stack = [tree]
    while stack:
        node = stack.pop()
        match node:
            case Leaf():
                yield node
            case Not(part):
                stack.append(part)
            case And(parts) | Or(parts) | AtLeast(_, parts):
                stack.extend(parts)


def check_bounds(tree: Tree) -> None:
    """Raise `BadRule` if the tree is larger than any rule written by hand."""
    leaves = 0
    level: list[Tree] = [tree]
    for _depth in range(DEPTH_MAX):
        below: list[Tree] = []
        for node in level:
            match node:
                case Leaf(_, _, operand):
                    leaves += len(operand) if isinstance(operand, tuple | frozenset) else 1
                case Not(part):
                    below.append(part)
                case And(parts) | Or(parts) | AtLeast(_, parts):
                    below.extend(parts)
        if leaves > LEAVES_MAX:
            raise BadRule(f"more than {LEAVES_MAX} values", "detection")
        if not below:
            return
        level = below
    raise BadRule(f"nested deeper than {DEPTH_MAX} levels", "detection.condition")
