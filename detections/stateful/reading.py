"""How stage 1 reads what rules with a memory group by and count. Pure."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final

from detections.rule import Derived, Fields
from detections.sigma.ruleset import CorrelationPlan, Getter, RuleSet
from detections.sigma.view import Read
from detections.stateful.adding import scaled
from schemas.signal import TEXT_MAX, Value, bound_text

VALUES_MAX: Final = 64  # of one event and rule

ValueRead = Callable[[Fields, Derived], Sequence[Value]]
PlainRead = tuple[Read, Read | None, Read | None]
"""What reads the one or two values of a group, and the one that is counted if any, as they are."""


def plain_read(
    ruleset: RuleSet, rule: int, group: Sequence[str], values: Sequence[str]
) -> PlainRead | None:
    """Return what reads a small group and at most one value; None if no plain look does."""
    reads = [ruleset.plain_read(rule, name) for name in (*group, *values)]
    if None in reads or len(values) > 1:
        return None
    value = reads.pop() if values else None
    match reads:
        case [first] if first:
            return first, None, value
        case [first, second] if first:
            return first, second, value
    return None


def bounded(text: str) -> str:
    """Return a text as signals carry it."""
    return text if len(text) <= TEXT_MAX else bound_text(text)


def nothing_read(_fields: Fields, _derived: Derived) -> Sequence[Value]:
    """Read the one value of what is only counted."""
    return (None,)


def read_values(plan: CorrelationPlan, getters: Sequence[Getter]) -> ValueRead:
    """Return what reads the values that a correlation counts or adds up."""
    if not getters:
        return nothing_read
    return read_texts(getters) if plan.type == "value_count" else _read_numbers(getters[0])


def read_texts(getters: Sequence[Getter]) -> ValueRead:
    """Return what reads texts; those of several fields as tuples."""

    def read(fields: Fields, derived: Derived) -> Sequence[Value]:
        columns = [
            [bounded(text) for text in dict.fromkeys(get(fields, derived)) if text]
            for get in getters
        ]
        if len(columns) == 1:
            return columns[0][:VALUES_MAX]
        return [list(texts) for texts in islice(product(*columns), VALUES_MAX)]

    return read


def _read_numbers(get: Getter) -> ValueRead:
    def read(fields: Fields, derived: Derived) -> Sequence[Value]:
        numbers = [number for text in get(fields, derived) if (number := _number(text)) is not None]
        return numbers[:VALUES_MAX]

    return read


def _number(text: str) -> float | None:
    millionths = scaled(text)
    return None if millionths is None else float(text)


def read_countries(
    countries: ValueRead,
    networks: Getter,
    parameters: Mapping[str, Any],
) -> ValueRead:
    """Return what reads a country, but not of networks and countries that are to be left out."""
    ignored = frozenset(parameters["ignore_countries"])
    vpns = frozenset(map(str, parameters["vpn_asns"]))

    def read(fields: Fields, derived: Derived) -> Sequence[Value]:
        if vpns and not vpns.isdisjoint(networks(fields, derived)):
            return ()
        return [country for country in countries(fields, derived) if country not in ignored]

    return read
