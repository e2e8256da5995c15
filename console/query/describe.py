"""A query in plain English: for screen readers, exports and cases."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from console.query.fields import IS, Kind, field_of
from console.query.tree import All, Either, Node, Not, Term

_COMPARED: Final[Mapping[str, str]] = MappingProxyType(
    {"<": "is under", "<=": "is at most", ">": "is over", ">=": "is at least"}
)
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
)
_NEGATED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "is": "is not",
        "was": "was not",
        "holds": "does not hold",
        "begins": "does not begin",
        "ends": "does not end",
        "says": "does not say",
    }
)


class _Phrase(NamedTuple):
    subject: str
    predicates: tuple[str, ...]  # each begins with a verb that can be negated


def describe(node: Node) -> str:
    """Return what a query finds: "events where user begins with “jane” and …"."""
    said = _said(node)
    return f"events where {said}" if said else "all events"


def _said(node: Node) -> str:
    if isinstance(node, Term):
        phrase = _phrase(node)
        return f"{phrase.subject} {' and '.join(phrase.predicates)}"
    if isinstance(node, Not):
        return _negated(node.node)
    joint = " or " if isinstance(node, Either) else " and "
    return joint.join(
        f"({_said(one)})" if isinstance(one, All | Either) else _said(one) for one in node.nodes
    )


def _negated(node: Node) -> str:
    phrase = _phrase(node) if isinstance(node, Term) else None
    if phrase is None or len(phrase.predicates) > 1:
        return f"not ({_said(node)})"
    verb, _, rest = phrase.predicates[0].partition(" ")
    return f"{phrase.subject} {_NEGATED[verb]} {rest}"


def _phrase(term: Term) -> _Phrase:
    kind = field_of(term.field).kind
    return _PHRASES.get(kind, _value)(term)


def _value(term: Term) -> _Phrase:
    subject = f"details {' '.join(term.path)}" if term.path else term.field.replace("_", " ")
    if term.operator == "..":
        return _Phrase(subject, (f"is {term.value} to {term.high}",))
    if term.operator in _COMPARED:
        return _Phrase(subject, (f"{_COMPARED[term.operator]} {term.value}",))
    if len(term.parts) == 1:
        return _Phrase(subject, (f"is {_quoted(term.value)}",))
    first, *inner, last = term.parts
    said = [f"begins with {_quoted(first)}"] if first else []
    said += [f"holds {_quoted(part)}" for part in inner]
    said += [f"ends with {_quoted(last)}"] if last else []
    return _Phrase(subject, tuple(said) or ("is anything",))


def _address(term: Term) -> _Phrase:
    return _Phrase("ip", (f"is {'in ' if '/' in term.value else ''}{_quoted(term.value)}",))


def _inside(term: Term) -> _Phrase:
    held = " and then ".join(map(_quoted, term.parts)) if any(term.parts) else "anything"
    subject = "the text of the details" if term.field == "details" else "the event"
    return _Phrase(subject, (f"holds {held}",))


def _moment(term: Term) -> _Phrase:
    count, unit = term.value[:-1], term.value[-1:]
    moment = term.value
    if count.isdigit() and unit in _UNITS:
        moment = f"{int(count)} {_UNITS[unit]}{'' if int(count) == 1 else 's'} ago"
    side = "after" if term.field == "since" else "before"
    return _Phrase("it", (f"was {side} {moment}",))


def _is(term: Term) -> _Phrase:
    return _Phrase("it", (f"is {IS[term.value]}",))


def _has(term: Term) -> _Phrase:
    named = f"details {' '.join(term.path)}" if term.path else term.value.replace("_", " ")
    return _Phrase("it", (f"says its {named}",))


_PHRASES: Final[Mapping[Kind, Callable[[Term], _Phrase]]] = MappingProxyType(
    {"address": _address, "inside": _inside, "moment": _moment, "is": _is, "has": _has}
)


def _quoted(text: str) -> str:
    return f"\N{LEFT DOUBLE QUOTATION MARK}{text}\N{RIGHT DOUBLE QUOTATION MARK}"
