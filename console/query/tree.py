"""A query as data: terms, and what joins them. Equal queries are equal trees."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias

Operator = Literal[":", "<", "<=", ">", ">=", ".."]
Parts: TypeAlias = tuple[str, ...]
ANYTHING: Parts = ("", "")


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """One condition on one field.

    `parts` is the value, cut at its stars: one part is exactly that text, ("a", "") begins with a.
    `high` is the end of a range; `path` the keys of `details.PATH`. Where it stood in the text is
    no part of what it means.
    """

    field: str
    parts: Parts
    operator: Operator = ":"
    high: str = ""
    path: Parts = ()
    position: int = dataclasses.field(default=0, compare=False)
    length: int = dataclasses.field(default=0, compare=False)

    @property
    def value(self) -> str:
        """The value of a term without stars."""
        return self.parts[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Not:
    """What must not hold. Of an event that says nothing of a field nothing holds."""

    node: "Node"


@dataclasses.dataclass(frozen=True, slots=True)
class All:
    """All of these must hold; none of them always holds."""

    nodes: "tuple[Node, ...]"


@dataclasses.dataclass(frozen=True, slots=True)
class Either:
    """At least one of these must hold; two or more."""

    nodes: "tuple[Node, ...]"


Node: TypeAlias = Term | Not | All | Either
EVERYTHING = All(())


def all_of(nodes: Iterable[Node]) -> Node:
    """Join by AND; what is joined by AND already is taken apart."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, All) else (node,))
    return flat[0] if len(flat) == 1 else All(tuple(flat))


def either_of(nodes: Iterable[Node]) -> Node:
    """Join by OR, as `all_of` joins by AND; at least one node."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Either) else (node,))
    return flat[0] if len(flat) == 1 else Either(tuple(flat))


def not_of(node: Node) -> Node:
    """Negate; twice is not at all."""
    return node.node if isinstance(node, Not) else Not(node)


def signed_terms(node: Node, *, positive: bool = True) -> Iterator[tuple[Term, bool]]:
    """Yield each term, and whether it must hold (or must not)."""
    if isinstance(node, Term):
        yield node, positive
    elif isinstance(node, Not):
        yield from signed_terms(node.node, positive=not positive)
    else:
        for inner in node.nodes:
            yield from signed_terms(inner, positive=positive)


def asks_for(node: Node, is_wanted: Callable[[Term], bool]) -> bool:
    """Say whether the query asks for, not merely without, such a term."""
    return any(positive and is_wanted(term) for term, positive in signed_terms(node))
