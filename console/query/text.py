"""The canonical text of a query: read again it is the same query."""

from typing import Final

from console.query.fields import MEMBER
from console.query.tree import All, Either, Node, Not, Parts, Term
from console.query.write import details, escaped, quoted
from console.query.write import text as as_text

_JOINED: Final = {All: " ", Either: " OR "}


def text_of(node: Node) -> str:
    """Return the text that `parse` reads as this very query."""
    if isinstance(node, Term):
        return _term(node)
    if isinstance(node, Not):
        return f"-{_one(node.node)}"
    if isinstance(node, Either) and (same := _same_field(node)):
        return same
    return _JOINED[type(node)].join(_one(inner) for inner in node.nodes)


def name_of(term: Term) -> str:
    """Return a term's field as it is written."""
    return details(*term.path) if term.field == MEMBER.name else term.field


def _one(node: Node) -> str:
    """Return the text of a node as one of several."""
    text = text_of(node)
    is_whole = isinstance(node, Term | Not) or (isinstance(node, Either) and _same_field(node))
    return text if is_whole else f"({text})"


def _same_field(node: Either) -> str:
    """Return field:(a OR b) where all are of one field; else nothing."""
    terms = [one for one in node.nodes if isinstance(one, Term) and one.operator == ":"]
    places = {(term.field, term.path if term.field != "has" else ()) for term in terms}
    if len(terms) < len(node.nodes) or len(places) != 1 or terms[0].field == "text":
        return ""
    return f"{name_of(terms[0])}:({' OR '.join(_value(term) for term in terms)})"


def _term(term: Term) -> str:
    if term.field == "text":
        return as_text(term.value) if len(term.parts) == 1 else _stars(term.parts)
    if term.operator == "..":
        return f"{name_of(term)}:{term.value}..{term.high}"
    return f"{name_of(term)}{term.operator}{_value(term)}"


def _value(term: Term) -> str:
    if term.field == "has" and term.path:
        return details(*term.path)
    return quoted(term.value) if len(term.parts) == 1 else _stars(term.parts)


def _stars(parts: Parts) -> str:
    return "*".join(map(escaped, parts))
