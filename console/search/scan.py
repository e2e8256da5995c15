"""The route that reads history as rules need it: raw events with what was derived of them.

A page holds events in the order of the broker's time, so that a reader can go on where it stopped
and nothing that comes in meanwhile is missed or read twice.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from console.access import Principal
from console.query.scope import NO_CANARIES, NO_READS
from console.search.asked import Conditions, Query, tenant_of, unbounded
from console.web.context import Asked, json_answer, needs, saw
from schemas.tables import EVENTS

ROWS_MAX: Final = 5_000  # of a page, at about two kilobytes each
NEEDS_MAX: Final = 64
VALUES_MAX: Final = 1_000
PARTS_MAX: Final = 100
MS_MAX: Final = 10_413_791_999_999  # 2299, as the store has it

Column = Literal[
    "action", "category", "verb", "result", "has_changes", "protected", "off_hours"
]  # fmt: skip
Text = Annotated[str, Field(min_length=1, max_length=256)]
Values = Annotated[tuple[Text, ...], Field(max_length=VALUES_MAX)]

# The order of a row's members in the answer: names on each of them would double its size.
MEMBERS: Final = (
    "incarnation",
    "partition",
    "offset",
    "occurred_us",
    "recorded_ms",
    "event_id",
    "tenant",
    "category",
    "verb",
    "result_name",
    "role",
    "department",
    "user_status",
    "country",
    "geo_asn",
    "geo_as_name",
    "client",
    "data_class",
    "flags",
    "changed",
    "raw",
)
# Each row is written as JSON by the store: nothing here has to look at two kilobytes a row.
_SELECT: Final = """
    formatRow('JSONCompactEachRow', incarnation, partition, offset,
    toUnixTimestamp64Micro(occurred), toUnixTimestamp64Milli(recorded), event_id, tenant, category,
    verb, toString(result), role, department, user_status, toString(geo_country), geo_asn,
    geo_as_name, client, data_class, flags, changed, raw) AS line
"""
_AS_JSON: Final = MappingProxyType(
    {"output_format_json_quote_64bit_integers": 0, "output_format_json_escape_forward_slashes": 0}
)
# What rules ask for, as the store has it.
_COLUMNS: Final[Mapping[Column, str]] = {
    "action": "action",
    "category": "category",
    "verb": "verb",
    "result": "toString(result)",
    "has_changes": "if(notEmpty(changed), 'true', 'false')",
    "protected": "if(has(flags, 'protected'), 'true', 'false')",
    "off_hours": "if(has(flags, 'off_hours'), 'true', 'false')",
}


class Wanted(BaseModel):
    """One way in which an event can matter; all that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: Annotated[str, Field(max_length=64, description="How the action begins.")] = ""
    values: Annotated[dict[Column, Values], Field(description="By column, those that will do.")] = (
        Field(default_factory=dict)
    )
    parts: Annotated[
        tuple[Text, ...], Field(max_length=PARTS_MAX, description="One is inside the action.")
    ] = ()


class After(BaseModel):
    """The last row of the page before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recorded_ms: Annotated[int, Field(strict=True, ge=0, le=MS_MAX)]
    incarnation: Annotated[str, Field(max_length=128)]
    partition: Annotated[int, Field(strict=True, ge=0, le=65_535)]
    offset: Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]


class ScanAsked(BaseModel):
    """Which events, by the broker's time: from (inclusive) to (exclusive), in milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_ms: Annotated[int, Field(strict=True, ge=0, le=MS_MAX)]
    to_ms: Annotated[int, Field(strict=True, ge=0, le=MS_MAX)]
    tenant: Text | None = None
    needs: Annotated[
        tuple[Wanted, ...], Field(max_length=NEEDS_MAX, description="One must hold; none: all do.")
    ] = ()
    after: After | None = None
    limit: Annotated[int, Field(strict=True, ge=1, le=ROWS_MAX)] = ROWS_MAX


class ScanPage(BaseModel):
    """Rows as arrays, in the order of `members`; `has_more` tells to ask on after the last."""

    members: tuple[str, ...]
    rows: list[list[Any]]
    has_more: bool


routes: Final = APIRouter(prefix="/scan")


@routes.post("", response_model=ScanPage, dependencies=[needs("read_raw")])
async def scan(api: Asked, asked: ScanAsked) -> Response:
    """Read raw events with what was derived of them, in the order in which the broker took them."""
    rows = await api.reader.rows(to_query(asked, api.principal), _AS_JSON)
    page = rows[: asked.limit]
    await saw(api, "/v1/scan", asked.model_dump(exclude_defaults=True), len(page))
    return json_answer(
        {
            "members": MEMBERS,
            "rows": [orjson.Fragment(row["line"]) for row in page],
            "has_more": len(rows) > asked.limit,
        }
    )


def to_query(asked: ScanAsked, principal: Principal) -> Query:
    """Build the query of one page. Raises `Refused` for a foreign tenant."""
    found = tenant_of(unbounded(), asked.tenant, principal.tenant).also(
        "recorded >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') "
        "AND recorded < fromUnixTimestamp64Milli({to:Int64}, 'UTC')",
        **{"from": asked.from_ms, "to": asked.to_ms},
    )
    if not principal.may("read_reads"):
        found = found.also(NO_READS)
    found = _needing(found.also(NO_CANARIES), asked.needs)
    if asked.after is not None:
        found = found.also(
            "recorded >= fromUnixTimestamp64Milli({a_recorded:Int64}, 'UTC') AND "
            "(toUnixTimestamp64Milli(recorded), toString(incarnation), partition, offset) > "
            "({a_recorded:Int64}, {a_incarnation:String}, {a_partition:UInt16}, {a_offset:UInt64})",
            a_recorded=asked.after.recorded_ms,
            a_incarnation=asked.after.incarnation,
            a_partition=asked.after.partition,
            a_offset=asked.after.offset,
        )
    sql = (
        f"SELECT {_SELECT} FROM {EVENTS} WHERE {found.where()} "
        "ORDER BY recorded, toString(incarnation), partition, offset LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, "rows": asked.limit + 1})


def _needing(found: Conditions, needs: Sequence[Wanted]) -> Conditions:
    """Ask for one of the needs; one that is empty asks for nothing."""
    ways: list[str] = []
    parameters: dict[str, Any] = {}
    for number, need in enumerate(needs):
        clauses = []
        if need.prefix:
            parameters[f"n{number}_prefix"] = need.prefix
            clauses.append(f"startsWith(action, {{n{number}_prefix:String}})")
        for column, values in need.values.items():
            parameters[f"n{number}_{column}"] = list(values)
            clauses.append(f"has({{n{number}_{column}:Array(String)}}, {_COLUMNS[column]})")
        if need.parts:
            parameters[f"n{number}_parts"] = list(need.parts)
            clauses.append(f"multiSearchAny(action, {{n{number}_parts:Array(String)}})")
        if not clauses:
            return found
        ways.append(f"({' AND '.join(clauses)})")
    return found.also(f"({' OR '.join(ways)})", **parameters) if ways else found
