"""A value of a query, checked against its field: what doesn't fit is told where it stands."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from console.query.addresses import address_range, network_of_stars
from console.query.fault import QueryError, shown
from console.query.fields import FIELDS, MEMBER, NAMES, NUMBER_MAX, Field, Kind, nearest
from console.query.lexer import Token
from console.query.tree import ANYTHING, Node, Operator, Parts, Term, not_of
from console.search.moment import parse_moment
from console.web.problems import Refused

STARS_MAX: Final = 8  # each `*` of a pattern multiplies the ways to match
KEYS_MAX: Final = 8  # of a path into the details; deeper ones are searched as text
_RANGE: Final = ".."
_WHOLE: Final = re.compile(r"\d{1,19}", re.ASCII)
_AS_NUMBER: Final = re.compile(r"(?i:as)?(\d{1,10})", re.ASCII)
_DECIMAL: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
_SEGMENT: Final = re.compile(r'\.(?:"((?:[^"\\]|\\.)+)"|([^."]+))', re.DOTALL)
_GROUP: Final = re.compile(r"[0-9a-fA-F]{1,4}", re.ASCII)  # of an IPv6 address
_DETAILS: Final = "details"


class Place(NamedTuple):
    """A field as a query names it, and what stands between it and its value."""

    field: Field
    path: Parts
    operator: str
    start: int


def place_of(name: Token, operator: Token) -> Place:
    """Look the field up. Raises `QueryError` that names the most like one."""
    sign = "!=" if operator.text == "!=" else operator.text.lstrip(":") or ":"
    sign = ":" if sign == "=" else sign
    field, path = _looked_up(name.text, name.start)
    if sign not in (*field.operators, "!="):
        raise QueryError(
            operator.start,
            operator.end - operator.start,
            f"{sign} is not for {field.name}",
            f"write {field.example}",
        )
    return Place(field, path, sign, name.start)


def node_of(place: Place, token: Token) -> Node:
    """Return the condition that the field has that value. Raises `QueryError`."""
    operator: Operator = ":"
    if place.operator in ("<", "<=", ">", ">="):
        operator = place.operator  # type: ignore[assignment] # it is one of these four
    term = _CHECKS[place.field.kind](_Given(place, operator, token))
    return not_of(term) if place.operator == "!=" else term


def word_of(token: Token) -> Term:
    """Return the condition that the text is somewhere in the event. Raises `QueryError`."""
    place = Place(FIELDS["text"], (), ":", token.start)
    return _inside(_Given(place, ":", token))


class _Given(NamedTuple):
    place: Place
    operator: Operator
    token: Token

    def fault(self, said: str, cure: str) -> QueryError:
        """Return an error that points at the value."""
        return QueryError(self.token.start, self.token.end - self.token.start, said, cure)

    def term(self, parts: Parts, operator: Operator | None = None, high: str = "") -> Term:
        """Return the term that stands here."""
        return Term(
            self.place.field.name,
            parts,
            operator or self.operator,
            high,
            self.place.path,
            self.place.start,
            self.token.end - self.place.start,
        )

    def narrowed(self, text: str) -> "_Given":
        """Return the same for a part of the value."""
        token = self.token
        part = Token("value", token.start, token.end, text, (text,))
        return self._replace(token=part, operator=":")

    def exact(self, cure: str) -> str:
        """Return a value that may have no stars."""
        if len(self.token.parts) > 1:
            raise self.fault(f"no * in the value of {self.place.field.name}", cure)
        return self.token.parts[0]


def _looked_up(name: str, start: int) -> tuple[Field, Parts]:
    head, dot, rest = name.partition(".")
    if head.lower() == _DETAILS and dot:
        return MEMBER, _path(rest, start, len(name))
    field = NAMES.get(name.lower())
    if field is None:
        raise QueryError(start, len(name), f"unknown field {shown(name)}", _cure_of(name))
    return field, ()


def _cure_of(name: str) -> str:
    bare = name.lstrip("!-")
    near = nearest(bare, tuple(NAMES))
    if near and bare != name:
        return f"did you mean -{near}? A - in front says not"
    if near:
        return f"did you mean {near}? Text with a : in it goes in quotes"
    if _GROUP.fullmatch(name):
        return "an address is written ip:2001:db8::7; text with a : in it goes in quotes"
    return (
        "docs/search.md has all fields; a value in the details is details.name; "
        "text with a : in it goes in quotes"
    )


def _path(rest: str, start: int, length: int) -> Parts:
    """Cut the path after `details.` at its dots; keys that have one of their own are in quotes."""
    found, at, whole = [], 0, f".{rest}"
    while match := _SEGMENT.match(whole, at):
        quoted, plain = match.groups()
        found.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        at = match.end()
    if at != len(whole) or not 1 <= len(found) <= KEYS_MAX:
        raise QueryError(
            start,
            length,
            f"not a path of 1 to {KEYS_MAX} keys into the details",
            'write details.key, details.outer.inner, or details."a key with dots.or spaces"',
        )
    return tuple(found)


def _pattern(given: _Given) -> Term:
    field, parts = given.place.field, given.token.parts
    if parts == ("",):
        raise given.fault(
            "an empty value", f"-has:{field.name} finds the events that say nothing of it"
        )
    if len(parts) - 1 > STARS_MAX:
        raise given.fault(f"over {STARS_MAX} * in one value", "use less")
    if len(parts) > 1:  # stars that touch are one
        parts = (parts[0], *(part for part in parts[1:-1] if part), parts[-1])
    if field.is_lower:
        parts = tuple(part.lower() for part in parts)
    elif field.is_upper:
        parts = tuple(part.upper() for part in parts)
    return given.term(parts)


def _inside(given: _Given) -> Term:
    """Take what is looked for inside a text; a star before or after it changes nothing."""
    parts = given.token.parts
    if parts == ("",):
        raise given.fault("nothing in the quotes", "write what to look for, or leave them out")
    if len(parts) - 1 > STARS_MAX:
        raise given.fault(f"over {STARS_MAX} * in one value", "use less")
    return given.term(tuple(part for part in parts if part) or ANYTHING)


def _choice(given: _Given) -> Term:
    field = given.place.field
    cure = f"one of {', '.join(field.values)}"
    value = given.exact(cure).lower()
    if value not in field.values:
        near = nearest(value, field.values)
        said = f"{shown(value)} is not a value of {field.name}"
        raise given.fault(said, f"did you mean {near}? It is {cure}" if near else cure)
    return given.term((value,))


def _range_of(token: Token) -> tuple[str, str] | None:
    """Return both ends of low..high, "" for an open one; None if it is no range."""
    low, dots, high = token.text.partition(_RANGE)
    if token.is_quoted or not dots or "\\" in token.text:
        return None
    ends = (low if low != "*" else "", high if high != "*" else "")
    return ends if any(ends) else None


def _ranged(
    given: _Given,
    ends: tuple[str, str],
    read: Callable[[_Given], str],
    rank: Callable[[str], float],
) -> Term:
    """Return the term of a range, both ends included; each end is read like a value."""
    if given.operator != ":":
        raise given.fault("a range after a comparison", "write risk:50..80, or risk>=50")
    low, high = (read(given.narrowed(end)) if end else "" for end in ends)
    if not high:
        return given.term((low,), ">=")
    if not low:
        return given.term((high,), "<=")
    if rank(low) > rank(high):
        raise given.fault("a range that ends before it begins", "exchange its ends")
    return given.term((low,), "..", high)


def _order(given: _Given) -> Term:
    values = given.place.field.values
    sides = _range_of(given.token)
    if sides is None:
        return _choice(given)
    return _ranged(given, sides, lambda end: _choice(end).value, values.index)


def _number(given: _Given) -> Term:
    sides = _range_of(given.token)
    if sides is None:
        return given.term((_whole(given),))
    return _ranged(given, sides, _whole, int)


def _whole(given: _Given) -> str:
    name = given.place.field.name
    cure = f"write a whole number, such as {given.place.field.example}"
    value = given.exact(cure)
    found = (_AS_NUMBER if name == "asn" else _WHOLE).fullmatch(value)
    if found is None or int(found[found.re.groups]) > NUMBER_MAX:
        raise given.fault(f"not a number that {name} can have", cure)
    return str(int(found[found.re.groups]))


def _member(given: _Given) -> Term:
    sides = _range_of(given.token)
    if sides and given.operator == ":" and all(_DECIMAL.fullmatch(one) for one in sides if one):
        return _ranged(given, sides, lambda end: end.token.text, float)
    if given.operator == ":":
        return _pattern(given)
    value = given.exact("compare with a number, such as details.record_count>1000")
    if not _DECIMAL.fullmatch(value):
        raise given.fault(
            "not a number", "compare with a number, such as details.record_count>1000"
        )
    return given.term((value,))


def _address(given: _Given) -> Term:
    value = network_of_stars(given.token.text)
    if value is None:
        value = given.exact("write 203.0.113.0/24 for a network")
    try:
        address_range(value)
    except Refused as error:
        raise given.fault("neither an address nor a network", error.cure) from error
    return given.term((value,))


def _moment(given: _Given) -> Term:
    name = given.place.field.name
    try:
        parse_moment(given.exact(""), 0, name)
    except Refused as error:
        raise given.fault(f"{name} is not a moment", error.cure) from error
    return given.term(given.token.parts)


def _has(given: _Given) -> Term:
    given.exact("name one field, such as has:resource_id")
    name = given.token.text if not given.token.is_quoted else given.token.parts[0]
    field, path = _looked_up(name, given.token.start)
    if path:
        return given._replace(place=given.place._replace(path=path)).term((MEMBER.name,))
    if not field.given:
        raise given.fault(f"has: is not for {field.name}", "name another field")
    return given.term((field.name,))


_CHECKS: Final[Mapping[Kind, Callable[[_Given], Term]]] = MappingProxyType(
    {
        "text": _pattern,
        "list": _pattern,
        "choice": _choice,
        "order": _order,
        "number": _number,
        "address": _address,
        "moment": _moment,
        "inside": _inside,
        "member": _member,
        "is": _choice,
        "has": _has,
    }
)
