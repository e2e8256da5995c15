"""Behaviours as rule files write them: the parameters of each type, checked, with cures. Pure."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple

from detections.stateful.places import PLACES
from detections.stateful.spans import UNITS_MS, parse_span

FIELDS_MAX: Final = 8  # of a group
LIST_MAX: Final = 1_000  # of countries or networks to leave out
NAME_MAX: Final = 256
DAY_MS: Final = UNITS_MS["d"]
HOUR_MS: Final = UNITS_MS["h"]

Parse = Callable[[object], Any]


class Parameter(NamedTuple):
    """How a parameter is read, and what holds without it; `default` None: it must be given."""

    parse: Parse
    default: Any


def _span(least_ms: int, most_ms: int, unit_ms: int = UNITS_MS["s"]) -> Parse:
    """Read a span in whole units within bounds."""

    def parse(raw: object) -> int:
        span_ms = parse_span(raw)
        if not least_ms <= span_ms <= most_ms or span_ms % unit_ms:
            unit = {DAY_MS: "whole days", HOUR_MS: "whole hours"}.get(unit_ms, "seconds")
            raise ValueError(
                f"must be from {least_ms // unit_ms} to {most_ms // unit_ms}, in {unit}"
            )
        return span_ms

    return parse


def _number(least: float, most: float) -> Parse:
    def parse(raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not isfinite(raw):
            raise ValueError("want a number")
        if not least <= raw <= most:
            raise ValueError(f"must be from {least:g} to {most:g}")
        return float(raw)

    return parse


def _whole(least: int, most: int) -> Parse:
    def parse(raw: object) -> int:
        if type(raw) is not int or not least <= raw <= most:
            raise ValueError(f"want a whole number from {least} to {most}")
        return raw

    return parse


def _field(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip() or len(raw) > NAME_MAX:
        raise ValueError("want the name of a field, such as country or details.format")
    return raw


def _fields(raw: object) -> tuple[str, ...]:
    names = [raw] if isinstance(raw, str) else raw
    if not isinstance(names, list) or not 0 < len(names) <= FIELDS_MAX:
        raise ValueError(f"want 1 to {FIELDS_MAX} names of fields, such as [user]")
    fields = tuple(_field(name) for name in names)
    if len(set(fields)) < len(fields):
        raise ValueError("names a field twice")
    return fields


def _countries(raw: object) -> tuple[str, ...]:
    codes: list[object] = raw if isinstance(raw, list) else [raw]
    texts = [code.upper() for code in codes if isinstance(code, str)]
    if len(texts) < len(codes) or not set(texts) <= set(PLACES):
        raise ValueError("want country codes of two letters, such as [DE, FR]")
    return tuple(sorted(set(texts)))


def _networks(raw: object) -> tuple[int, ...]:
    numbers = raw if isinstance(raw, list) else [raw]
    if len(numbers) > LIST_MAX or not all(type(n) is int and 0 < n < 2**32 for n in numbers):
        raise ValueError(f"want up to {LIST_MAX} numbers of networks (ASN), such as [13335]")
    return tuple(sorted(set(numbers)))


_GROUP: Final = Parameter(_fields, ("user",))
_NONE: Final[tuple[object, ...]] = ()

PARAMETERS: Final[Mapping[str, Mapping[str, Parameter]]] = {
    "first_seen": {
        "group": _GROUP,
        "value": Parameter(_field, None),
        "learning": Parameter(_span(0, 365 * DAY_MS, DAY_MS), 14 * DAY_MS),
        "expiry": Parameter(_span(DAY_MS, 730 * DAY_MS, DAY_MS), 90 * DAY_MS),
    },
    "impossible_travel": {
        "group": _GROUP,
        "value": Parameter(_field, "country"),
        "speed_km_per_h": Parameter(_number(100, 10_000), 1_000.0),
        "distance_km_min": Parameter(_number(1, 20_000), 500.0),
        "repeat": Parameter(_span(HOUR_MS, 30 * DAY_MS), DAY_MS),
        "ignore_countries": Parameter(_countries, _NONE),
        "vpn_asns": Parameter(_networks, _NONE),
    },
    "rate": {
        "group": _GROUP,
        "count_min": Parameter(_whole(1, 1_000_000_000), 20),
        "factor": Parameter(_number(1, 100), 6.0),
        "weeks": Parameter(_whole(1, 12), 4),
        "learning": Parameter(_span(7 * DAY_MS, 84 * DAY_MS, DAY_MS), 14 * DAY_MS),
    },
    "dormant": {
        "group": _GROUP,
        "asleep": Parameter(_span(DAY_MS, 730 * DAY_MS, DAY_MS), 60 * DAY_MS),
        "forget": Parameter(_span(DAY_MS, 3_650 * DAY_MS, DAY_MS), 730 * DAY_MS),
    },
    "silent_source": {
        "group": Parameter(_fields, ("source",)),
        "silence": Parameter(_span(UNITS_MS["m"], 30 * DAY_MS, UNITS_MS["m"]), 15 * UNITS_MS["m"]),
        "factor": Parameter(_number(1, 100), 3.0),
        "learning": Parameter(_span(0, 84 * DAY_MS, DAY_MS), 7 * DAY_MS),
    },
    "risk": {
        "group": _GROUP,
        "line": Parameter(_number(1, 1_000_000), 100.0),
        "half_life": Parameter(_span(UNITS_MS["m"], 90 * DAY_MS), DAY_MS),
        "repeat": Parameter(_span(UNITS_MS["m"], 90 * DAY_MS), DAY_MS),
        "rule_max": Parameter(_number(1, 1_000_000), 60.0),
    },
}


def parse_behaviour(kind: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the `behaviour:` mapping of a rule file, `type` taken out; spans become milliseconds.

    Raises `ValueError` with the parameter's name, what is wrong and what would be right.
    """
    known = PARAMETERS.get(kind)
    if known is None:
        raise ValueError(f"behaviour.type: want one of {', '.join(sorted(PARAMETERS))}")
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise ValueError(
            f"behaviour.{unknown[0][:NAME_MAX]}: {kind} has no such parameter;"
            f" it has {', '.join(known)}"
        )
    parameters = {}
    for name, (parse, default) in known.items():
        if name not in given and default is None:
            raise ValueError(f"behaviour.{name}: {kind} needs it")
        try:
            parameters[name] = parse(given[name]) if name in given else default
        except ValueError as error:
            raise ValueError(f"behaviour.{name}: {error}") from error
    if kind == "dormant" and parameters["forget"] <= parameters["asleep"]:
        raise ValueError("behaviour.forget: must be longer than asleep, or nobody ever wakes")
    return parameters
