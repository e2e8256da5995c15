"""What each kind of leaf asks of the values of its field: any value will do."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from operator import attrgetter, contains, eq, ge, gt, le, lt
from typing import Any, Final

import re2

from detections.facts import FACTS
from detections.sigma.look import Look
from detections.sigma.tree import ANY, ONE, Leaf, Wildcard, fold
from detections.sigma.view import DERIVED_FLAGS, reader

NUMBER_LENGTH_MAX: Final = 40  # characters; longer is no number that anybody measured
CACHED_MAX: Final = 4_096  # addresses and moments seen lately
FACTS_CACHED_MAX: Final = 512  # texts of facts seen lately, for each expression
ADDRESS_LENGTH_MAX: Final = 64
MOMENT_LENGTH_MAX: Final = 40

Test = Callable[[Look], bool]
_OnText = Callable[[str], bool]

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "lt": lt,
    "lte": le,
    "gt": gt,
    "gte": ge,
}


def to_test(leaf: Leaf) -> Test:
    """Return the test of one leaf. Total for any event."""
    field = leaf.field
    match leaf.kind:
        case "null":
            return lambda look: not look.texts(field)
        case "exists":
            return lambda look: bool(look.texts(field))
        case "filled":
            return lambda look: any(look.texts(field))
        case "same_as":
            return _same_as(field, leaf.operand)
        case "equals":
            return _equals(field, leaf.operand, is_cased=leaf.cased)
    return _any_value(leaf)


def direct_test(leaf: Leaf) -> Test | None:
    """Return a faster test of the same for our own events; None where there is none."""
    field = leaf.field
    if leaf.kind not in _DIRECT_KINDS or leaf.cased or not field or field in FACTS:
        return None
    if leaf.kind == "equals" and field in DERIVED_FLAGS and leaf.operand == {"true"}:
        is_so = attrgetter(DERIVED_FLAGS[field])
        return lambda look: is_so(look.derived)
    on_text = _DIRECT_KINDS[leaf.kind](leaf.operand)
    if_absent = leaf.kind == "null"
    read = reader(field, is_native=True)
    test = to_test(leaf)

    def direct(look: Look) -> bool:
        value = read(look.doc, look.derived)
        if value is None:
            return if_absent
        return on_text(value) if type(value) is str else test(look)

    return direct


_DIRECT_KINDS: Final[Mapping[str, Callable[[Any], _OnText]]] = {
    "equals": lambda texts: lambda text: fold(text) in texts,
    "filled": lambda _none: bool,
    "exists": lambda _none: lambda _text: True,
    "null": lambda _none: lambda _text: False,
}


def _any_value(leaf: Leaf) -> Test:
    field = leaf.field
    on_text = _TEXT_TESTS[leaf.kind](leaf.operand)
    if field in FACTS and leaf.kind == "regex":  # made of the words of names, which come again
        on_text = lru_cache(maxsize=FACTS_CACHED_MAX)(on_text)
    if leaf.cased or leaf.kind in _UNFOLDED:
        return lambda look: any(map(on_text, look.texts(field)))
    return lambda look: any(map(on_text, look.folded(field)))


def _equals(field: str, texts: frozenset[str], *, is_cased: bool) -> Test:
    if is_cased:
        return lambda look: not texts.isdisjoint(look.texts(field))
    if len(texts) == 1:
        (text,) = texts
        return lambda look: text in look.folded(field)
    return lambda look: not texts.isdisjoint(look.folded(field))


def _contains(needles: Sequence[str]) -> _OnText:
    if len(needles) == 1:
        needle = needles[0]
        return lambda text: needle in text
    return lambda text: any(map(text.__contains__, needles))


def _same_as(field: str, operand: tuple[str, bool, bool]) -> Test:
    other, starts, ends = operand
    if starts and ends:
        relate: Callable[[str, str], bool] = contains
    elif starts:
        relate = str.startswith
    else:
        relate = str.endswith if ends else eq

    def test(look: Look) -> bool:
        references = look.folded(other)
        return bool(references) and any(
            relate(text, reference) for text in look.folded(field) for reference in references
        )

    return test


def _glob(parts: Sequence[str | Wildcard]) -> _OnText:
    if ONE in parts:
        spelled = (
            re2.escape(part) if isinstance(part, str) else ".*" if part is ANY else "."
            for part in parts
        )
        whole = re2.compile(f"(?s){''.join(spelled)}")
        return lambda text: whole.fullmatch(_encodable(text)) is not None
    head = parts[0] if isinstance(parts[0], str) else ""
    tail = parts[-1] if isinstance(parts[-1], str) else ""
    inner = [part for part in parts[bool(head) : len(parts) - bool(tail)] if isinstance(part, str)]

    def test(text: str) -> bool:
        end = len(text) - len(tail)
        at = len(head)
        if at > end or not text.startswith(head) or not text.endswith(tail):
            return False
        for part in inner:  # the leftmost place leaves most room for the rest
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return test


def _regex(pattern: str) -> _OnText:
    search = re2.compile(pattern).search
    return lambda text: search(_encodable(text)) is not None


def _encodable(text: str) -> str:
    """Return a text that RE2 takes: a lone half of a surrogate pair becomes U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _cidr(network: IPv4Network | IPv6Network) -> _OnText:
    def test(text: str) -> bool:
        address = _address_of(text)
        return address is not None and address.version == network.version and address in network

    return test


@lru_cache(maxsize=CACHED_MAX)
def _address_of(text: str) -> IPv4Address | IPv6Address | None:
    if len(text) > ADDRESS_LENGTH_MAX:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _compare(operand: tuple[str, float, str]) -> _OnText:
    operator, bound, unit = operand
    compare = _COMPARE[operator]

    def test(text: str) -> bool:
        number = part_of(text, unit) if unit else number_of(text)
        return number is not None and compare(number, bound)

    return test


def number_of(text: str) -> float | None:
    """Read a decimal number; else None."""
    if len(text) > NUMBER_LENGTH_MAX or not _NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


@lru_cache(maxsize=CACHED_MAX)
def part_of(text: str, unit: str) -> int | None:
    """Return the minute, hour, day, week, month or year of a moment, in UTC; else None."""
    if len(text) > MOMENT_LENGTH_MAX:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
    if unit == "week":
        return moment.isocalendar().week
    part: int = getattr(moment, unit)
    return part


def _part(operand: tuple[str, float]) -> _OnText:
    unit, number = operand
    return lambda text: part_of(text, unit) == number


_TEXT_TESTS: Final[Mapping[str, Callable[[Any], _OnText]]] = {
    "contains": _contains,
    "starts": lambda heads: lambda text: text.startswith(heads),
    "ends": lambda tails: lambda text: text.endswith(tails),
    "glob": _glob,
    "regex": _regex,
    "cidr": _cidr,
    "compare": _compare,
    "part": _part,
}
_UNFOLDED: Final = ("regex", "cidr", "compare", "part")
