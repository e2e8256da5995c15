"""Parts of a query, written safely: use these for every link to a search."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

Comparison = Literal["<", "<=", ">", ">="]

# What stands for itself without quotes. A range (`..`) and the operators' words are quoted.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_@:/+-]|\.(?!\.))*", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_@/+.-]*", re.ASCII)
WORDS: Final = frozenset({"and", "or", "not"})
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def term(field: str, value: object, *, negate: bool = False) -> str:
    """Return `field:value`, of exactly that value: a `*` in it is itself.

    None or an empty text becomes `-has:field`: the event doesn't say.
    """
    said = _text(value)
    if not said:
        return f"{'' if negate else '-'}has:{field}"
    return f"{'-' if negate else ''}{field}:{quoted(said)}"


def starting(field: str, value: str) -> str:
    """Return `field:value*`: what begins with exactly that value."""
    return f"{field}:{escaped(value)}*"


def one_of(field: str, values: Sequence[object]) -> str:
    """Return `field:(a OR b)`; at least one value, none of them empty."""
    assert values, "no value is no condition"
    if len(values) == 1:
        return term(field, values[0])
    return f"{field}:({' OR '.join(quoted(_text(value)) for value in values)})"


def compare(field: str, operator: Comparison, value: object) -> str:
    """Return `field>value` or the like."""
    return f"{field}{operator}{quoted(_text(value))}"


def between(low: object, high: object) -> str:
    """Return the period from `low` (inclusive) to `high` (exclusive), as moments."""
    return and_(term("since", low), term("until", high))


def text(value: str) -> str:
    """Return the query for that very text anywhere in an event."""
    is_word = _WORD.fullmatch(value) and value.lower() not in WORDS
    return value if is_word else _in_quotes(value)


def details(*path: str) -> str:
    """Return the name of a field of the details, of one key a part."""
    return ".".join(("details", *(key if _KEY.fullmatch(key) else _in_quotes(key) for key in path)))


def and_(*terms: str) -> str:
    """Return the query that all of the terms must hold; empty ones are left out.

    A term that has an OR of its own needs `either`.
    """
    return " ".join(one for one in terms if one)


def either(*terms: str) -> str:
    """Return the query that one of the terms must hold, as one term."""
    given: Iterable[str] = [one for one in terms if one]
    return f"({' OR '.join(given)})" if given else ""


def quoted(value: str) -> str:
    """Return the value as it stands in a query: as it is if that is plain, else in quotes."""
    if _PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return _in_quotes(value)


def escaped(value: str) -> str:
    """Return the value for a place beside a `*`, where quotes can't stand."""
    return "".join(_outside_quotes(char) for char in value)


def _outside_quotes(char: str) -> str:
    return char if char.isalnum() or char in "_@/+." else f"\\{char}"


def _in_quotes(value: str) -> str:
    escaped_value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped_value}"'


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
