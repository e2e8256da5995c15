"""The values that the events found have most: which fields, and the queries that count them.

Counting all of many events takes seconds, and the first ten values of a sample are nearly always
the same: above a bound one block in so many is counted, and the answer says so.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from console.query.conditions import Conditions, Query
from console.search.histogram import sampling
from console.search.reading import Reader, Settings
from console.search.rendering import render_address
from console.web.problems import Refused
from schemas.tables import EVENTS

VALUES_MAX: Final = 10
ROWS_EXACT_MAX: Final = 300_000  # counted in some 300 ms on two cores
ROWS_SAMPLED: Final = 300_000  # of them a share of 1 % is right within a tenth of it
PROBE: Final = 64  # one block in so many tells how many there are
SECONDS_MAX: Final = 1  # before a sample is taken instead
HURRIED: Final = 16  # one block in so many then

# Fields of the query language and their columns.
PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "user": "user",
        "action": "action",
        "category": "category",
        "result": "result",
        "severity": "severity",
        "resource": "resource",
        "ip": "ip_address",
        "country": "geo_country",
        "client": "client",
        "source": "source",
    }
)
LISTS: Final[Mapping[str, str]] = MappingProxyType({"flag": "flags", "rule": "rules"})
FIELDS: Final = (*PLAIN, *LISTS)
_BROAD: Final = "query_too_broad"


class Value(NamedTuple):
    """One value and the number of events that have it."""

    value: str
    rows: int


@dataclass(frozen=True, slots=True)
class Facets:
    """The values by field; where `sampled` is over 1 all numbers are estimates."""

    rows: int
    sampled: int
    fields: Mapping[str, Sequence[Value]]


def total(found: Conditions, *, sample: int = 1) -> Query:
    """Build the query for how many events there are."""
    return Query(
        f"SELECT count() AS rows FROM {EVENTS} {sampling(sample)} WHERE {found.where()}",
        found.parameters,
    )


def plain(found: Conditions, *, sample: int = 1) -> Query:
    """Build the query for the first values of all plain fields: one pass, one set each."""
    columns = tuple(PLAIN.values())
    sets = ", ".join(f"({column})" for column in columns)
    # of one set only its own column is not grouped away
    which = ", ".join(f"grouping({column})" for column in columns)
    sql = (
        f"SELECT [{which}] AS grouped, {', '.join(columns)}, count() AS rows "
        f"FROM {EVENTS} {sampling(sample)} WHERE {found.where()} "
        f"GROUP BY GROUPING SETS ({sets}) ORDER BY rows DESC LIMIT {VALUES_MAX} BY ({which})"
    )
    return Query(sql, found.parameters)


def lists(found: Conditions, *, sample: int = 1) -> Query:
    """Build the query for the first values of fields that hold several: one pass for all."""
    named = ", ".join(
        f"arrayMap(x -> ('{field}', toString(x)), {column})" for field, column in LISTS.items()
    )
    given = " OR ".join(f"notEmpty({column})" for column in LISTS.values())
    sql = (
        f"SELECT one.1 AS field, one.2 AS value, count() AS rows FROM ("
        f"SELECT arrayJoin(arrayConcat({named})) AS one "
        f"FROM {EVENTS} {sampling(sample)} WHERE {found.also(f'({given})').where()}) "
        f"GROUP BY field, value ORDER BY rows DESC LIMIT {VALUES_MAX} BY field"
    )
    return Query(sql, found.parameters)


def sample_of(rows: int) -> int:
    """Return one block in how many to count, of so many events: a power of two."""
    sample = 1
    if rows > ROWS_EXACT_MAX:
        while rows // sample > ROWS_SAMPLED:
            sample *= 2
    return sample


async def facets(reader: Reader, found: Conditions) -> Facets:
    """Count the values of the events found. Raises `Refused` if even a sample takes too long."""
    probed = await reader.rows(total(found, sample=PROBE))
    sample = sample_of(probed[0]["rows"] * PROBE)
    try:
        return await _count(reader, found, sample)
    except Refused as refused:
        if refused.kind != _BROAD or sample >= HURRIED:
            raise
        return await _count(reader, found, HURRIED)


async def _count(reader: Reader, found: Conditions, sample: int) -> Facets:
    settings: Settings = {"max_execution_time": SECONDS_MAX} if sample < HURRIED else {}
    wide, narrow = await asyncio.gather(
        reader.rows(plain(found, sample=sample), settings),
        reader.rows(lists(found, sample=sample), settings),
    )
    fields: dict[str, list[Value]] = {field: [] for field in FIELDS}
    for row in wide:
        field, column = _field_of(row["grouped"])
        fields[field].append(Value(_text(field, row[column]), row["rows"] * sample))
    for row in narrow:
        fields[row["field"]].append(Value(row["value"], row["rows"] * sample))
    rows = sum(value.rows for value in fields["result"])  # of few values: all are there
    for values in fields.values():
        values.sort(key=lambda value: (-value.rows, value.value))
    return Facets(rows, sample, fields)


def _field_of(grouped: Sequence[int]) -> tuple[str, str]:
    """Return the field that a row counts, and its column."""
    place = next(number for number, is_away in enumerate(grouped) if not is_away)
    return tuple(PLAIN.items())[place]


def _text(field: str, value: object) -> str:
    """Return a value of the store as the query language writes it."""
    if field == "ip":
        return render_address(str(value).removeprefix("::ffff:")) or ""
    return str(value).strip("\0")


def render_facets(found: Facets) -> dict[str, Any]:
    """Return a `FacetsOut`; a field that no event says is left out."""
    return {
        "rows": found.rows,
        "sampled": found.sampled,
        "facets": [
            {"field": field, "values": [value._asdict() for value in values]}
            for field, values in found.fields.items()
            if any(value.value for value in values)
        ],
    }
