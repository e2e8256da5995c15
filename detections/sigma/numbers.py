"""Numbers that the operator supplies: `records|expand|gte: '%export_records_min%'`.

pySigma compares with numbers only, so that a placeholder there is filled in before it looks.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from detections.sigma.faults import BadRule

_NUMERIC: Final = frozenset(
    {"gt", "gte", "lt", "lte", "minute", "hour", "day", "week", "month", "year"}
)
_Yaml = Any  # any value of a rule file


def fill_numbers(
    part: _Yaml, placeholders: Mapping[str, Sequence[str | int | float]], at: str
) -> _Yaml:
    """Return a selection with its numeric placeholders filled in. Raises `BadRule`."""
    if isinstance(part, list):
        return [fill_numbers(member, placeholders, at) for member in part]
    if not isinstance(part, dict):
        return part
    filled = {}
    for key, value in part.items():
        modifiers = key.split("|")[1:]
        if "expand" in modifiers and not _NUMERIC.isdisjoint(modifiers):
            plain = "|".join(word for word in key.split("|") if word != "expand")
            if plain in part:
                raise BadRule(f"the key {plain[:80]!r} twice", at)
            filled[plain] = _numbers_of(value, placeholders, at)
        else:
            filled[key] = fill_numbers(value, placeholders, at)
    return filled


def _numbers_of(
    value: _Yaml, placeholders: Mapping[str, Sequence[str | int | float]], at: str
) -> list[int | float]:
    numbers: list[int | float] = []
    for name in value if isinstance(value, list) else [value]:
        if not isinstance(name, str) or name[:1] != "%" or name[-1:] != "%":
            raise BadRule("a number that is expanded must be one %placeholder%", at)
        given = placeholders.get(name[1:-1])
        if not given:
            raise BadRule(f"the placeholder {name[:80]} is given no values", at)
        if any(isinstance(number, str | bool) for number in given):
            raise BadRule(f"the placeholder {name[:80]} must be a number here", at)
        numbers += [number for number in given if not isinstance(number, str)]
    return numbers
