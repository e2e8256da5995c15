"""pySigma's detections into leaves of our trees: values normalised, placeholders filled in."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import re2
from sigma.conditions import ConditionAND
from sigma.rule import SigmaDetection, SigmaDetectionItem
from sigma.types import (
    CompareOperators,
    Placeholder,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from detections.sigma.faults import BadRule
from detections.sigma.tree import (
    ANY,
    ONE,
    Kind,
    Leaf,
    Tree,
    Wildcard,
    all_of,
    any_of,
    fold,
    none_of,
)

REGEX_LENGTH_MAX: Final = 4_096  # characters; RE2 bounds the time, this the memory
TEXT_LENGTH_MAX: Final = 65_536
EXPANSIONS_MAX: Final = 10_000  # texts that placeholders may give for one value

# Lists that the operator supplies, by the name that rules use between percent signs.
Placeholders = Mapping[str, Sequence[str | int | float]]

_WILDCARDS: Final[Mapping[SpecialChars, Wildcard]] = {
    SpecialChars.WILDCARD_MULTI: ANY,
    SpecialChars.WILDCARD_SINGLE: ONE,
}
_OPERATORS: Final = {
    CompareOperators.LT: "lt",
    CompareOperators.LTE: "lte",
    CompareOperators.GT: "gt",
    CompareOperators.GTE: "gte",
}


def spell_number(number: float) -> str:
    """Spell a number as values of events are spelled: integral ones without a point."""
    whole = int(number)
    return str(whole if whole == number else number).lower()


def read_detection(detection: SigmaDetection, placeholders: Placeholders, at: str) -> Tree:
    """Turn one named selection into a tree. Raises `BadRule`."""
    parts: list[Tree] = []
    for item in detection.detection_items:
        if isinstance(item, SigmaDetection):
            parts.append(read_detection(item, placeholders, at))
        else:
            parts.append(_read_item(item, placeholders, at))
    return all_of(parts) if detection.item_linking is ConditionAND else any_of(parts)


def _read_item(item: SigmaDetectionItem, placeholders: Placeholders, at: str) -> Tree:
    field = item.field or ""
    if not item.value:
        if not field:
            raise BadRule("an empty list of keywords", at)
        return Leaf(field, "null")
    trees = [_read_value(_Place(field, placeholders, at), value) for value in item.value]
    tree = all_of(trees) if item.value_linking is ConditionAND else any_of(trees)
    return none_of(tree) if item.negated else tree


class _Place(NamedTuple):
    """Where a value stands: its field ('' for a keyword), and where to say that it is wrong."""

    field: str
    placeholders: Placeholders
    at: str


def _read_value(place: _Place, value: SigmaType) -> Tree:
    read = _READERS.get(type(value))
    if read is None:
        raise BadRule(f"a {type(value).__name__} is not supported", place.at)
    tree = read(place, value)
    if not place.field and isinstance(tree, Leaf) and tree.kind not in _KEYWORD_KINDS:
        raise BadRule(f"a keyword can't be {tree.kind!r}: name a field", place.at)
    return tree


def _read_text(place: _Place, value: SigmaString) -> Tree:
    is_cased = isinstance(value, SigmaCasedString)
    filled = fill_in(value, place.placeholders, place.at)
    return any_of([_read_parts(place, text.s, is_cased=is_cased) for text in filled])


def _read_part(place: _Place, value: SigmaTimestampPart) -> Leaf:
    return Leaf(place.field, "part", (value.timestamp_part.name.lower(), value.number))


def _read_exists(place: _Place, value: SigmaExists) -> Tree:
    leaf = Leaf(place.field, "exists")
    return leaf if value.exists else none_of(leaf)


def _read_reference(place: _Place, value: SigmaFieldReference) -> Leaf:
    return Leaf(place.field, "same_as", (value.field, value.starts_with, value.ends_with))


def _plain(place: _Place, text: str) -> Leaf:
    if place.field:
        return Leaf(place.field, "equals", frozenset((fold(text),)))
    return Leaf("", "contains", (fold(text),))


def _read_comparison(place: _Place, value: SigmaCompareExpression) -> Leaf:
    if value.op not in _OPERATORS:
        raise BadRule(f"comparison {value.op.name.lower()} is not supported", place.at)
    number = value.number
    part = number.timestamp_part.name.lower() if isinstance(number, SigmaTimestampPart) else ""
    return Leaf(place.field, "compare", (_OPERATORS[value.op], number.number, part))


def _read_regex(place: _Place, value: SigmaRegularExpression) -> Tree:
    flags = "".join(sorted(value.sigma_to_re_flag[flag] for flag in value.flags))
    prefix = f"(?{flags})" if flags else ""
    leaves: list[Tree] = []
    for filled in fill_in(value.regexp, place.placeholders, place.at, quote=True):
        pattern = prefix + "".join(_spell_part(part) for part in filled.s)
        if len(pattern) > REGEX_LENGTH_MAX:
            reason = f"a regular expression of more than {REGEX_LENGTH_MAX} characters"
            raise BadRule(reason, place.at)
        try:
            re2.compile(pattern)
        except re2.error as error:
            raise BadRule("a regular expression that RE2 does not take", place.at) from error
        leaves.append(Leaf(place.field, "regex", pattern))
    return any_of(leaves)


_READERS: Final[Mapping[type[SigmaType], Callable[[_Place, Any], Tree]]] = {
    SigmaExpansion: lambda p, value: any_of([_read_value(p, v) for v in value.values]),
    SigmaString: _read_text,
    SigmaCasedString: _read_text,
    SigmaRegularExpression: _read_regex,
    SigmaTimestampPart: _read_part,
    SigmaNumber: lambda place, value: _plain(place, spell_number(value.number)),
    SigmaBool: lambda place, value: _plain(place, "true" if value.boolean else "false"),
    SigmaNull: lambda place, _value: Leaf(place.field, "null"),
    SigmaExists: _read_exists,
    SigmaCIDRExpression: lambda place, value: Leaf(place.field, "cidr", value.network),
    SigmaCompareExpression: _read_comparison,
    SigmaFieldReference: _read_reference,
}
_KEYWORD_KINDS: Final = ("contains", "glob", "regex")


def _spell_part(part: object) -> str:
    if isinstance(part, str):
        return part
    return "*" if part is SpecialChars.WILDCARD_MULTI else "?"


def fill_in(
    value: SigmaString, placeholders: Placeholders, at: str, *, quote: bool = False
) -> list[SigmaString]:
    """Put every value of the placeholders in; `quote` for a regular expression."""
    named = [part.name for part in value.s if isinstance(part, Placeholder)]
    if not named:
        return [value]
    for name in named:
        if not placeholders.get(name):
            raise BadRule(f"the placeholder %{name[:80]}% is given no values", at)
    if math.prod(len(placeholders[name]) for name in named) > EXPANSIONS_MAX:
        raise BadRule(f"placeholders give more than {EXPANSIONS_MAX} texts", at)

    def texts(placeholder: Placeholder) -> Iterator[Any]:
        for given in placeholders[placeholder.name]:
            text = given if isinstance(given, str) else spell_number(given)
            yield re2.escape(text) if quote else SigmaString(text)

    filled: list[list[Any]] = [[]]
    for part in value.s:
        options = list(texts(part)) if isinstance(part, Placeholder) else [part]
        filled = [[*head, option] for head in filled for option in options]
    return [_join(parts) for parts in filled]


def _join(parts: list[Any]) -> SigmaString:
    joined = SigmaString()
    for part in parts:
        for piece in part.s if isinstance(part, SigmaString) else [part]:
            if isinstance(piece, str) and joined.s and isinstance(joined.s[-1], str):
                joined.s[-1] += piece
            else:
                joined.s.append(piece)
    return joined


# Texts with wildcards by their shape: what is narrower than a glob and means the same.
_SHAPES: Final[Mapping[str, Kind]] = {
    "": "equals",
    "t": "equals",
    "*": "filled",
    "*t*": "contains",
    "t*": "starts",
    "*t": "ends",
}


def _read_parts(place: _Place, parts: Sequence[object], *, is_cased: bool) -> Leaf:
    """Read a text with wildcards as the narrowest kind of leaf that means the same."""
    given = _simplify(parts, is_cased=is_cased)
    texts = [part for part in given if isinstance(part, str)]
    if any(len(text) > TEXT_LENGTH_MAX for text in texts):
        raise BadRule(f"a text of more than {TEXT_LENGTH_MAX} characters", place.at)
    if not place.field:
        return _read_keyword(given, is_cased=is_cased, at=place.at)
    kind = _SHAPES.get("".join("t" if isinstance(part, str) else part.name for part in given))
    match kind:
        case None:
            return Leaf(place.field, "glob", tuple(given), is_cased)
        case "filled":
            return Leaf(place.field, kind)
        case "equals":
            return Leaf(place.field, kind, frozenset(texts or ("",)), is_cased)
        case _:
            return Leaf(place.field, kind, tuple(texts), is_cased)


def _simplify(parts: Sequence[object], *, is_cased: bool) -> list[str | Wildcard]:
    given: list[str | Wildcard] = []
    for part in parts:
        if isinstance(part, str):
            given.append(part if is_cased else fold(part))
        elif isinstance(part, SpecialChars):
            wildcard = _WILDCARDS[part]
            if wildcard is ONE or given[-1:] != [ANY]:  # `**` is `*`
                given.append(wildcard)
    return given


def _read_keyword(given: list[str | Wildcard], *, is_cased: bool, at: str) -> Leaf:
    inner = given[given[:1] == [ANY] :]
    if inner[-1:] == [ANY]:
        inner = inner[:-1]
    if not any(isinstance(part, str) and part for part in inner):
        raise BadRule("a keyword without a text", at)
    if len(inner) == 1:
        return Leaf("", "contains", tuple(inner), is_cased)
    return Leaf("", "glob", (ANY, *inner, ANY), is_cased)
