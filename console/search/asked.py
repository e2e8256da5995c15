"""A search as it is asked for, and the SQL that finds its rows; what it means is console/query."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from console.access import Principal
from console.query.addresses import address_range
from console.query.conditions import Conditions, Query, unbounded
from console.query.fault import QueryError
from console.query.lexer import TEXT_MAX, Token
from console.query.narrower import too_broad
from console.query.parse import parse
from console.query.scope import NO_CANARIES
from console.query.seen import foreign_tenant, seen
from console.query.tree import Node, all_of
from console.query.values import node_of, place_of
from console.search.cursor import EVENT_KEY, Cursor, decode, fingerprint
from console.search.moment import store_text
from console.web.problems import Refused
from schemas.alert import Severity
from schemas.catalogue import Category
from schemas.event import Result
from schemas.tables import EVENTS

__all__ = ["NO_CANARIES", "Conditions", "Query", "Search", "address_range", "unbounded"]

ROWS_DEFAULT: Final = 50
ROWS_MAX: Final = 10_000
PATTERN: Final = "Exact, or with `*` for anything."

Text = Annotated[str, Field(min_length=1, max_length=256)]


class Search(BaseModel):
    """What to look for; all that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Annotated[
        str | None,
        Field(max_length=TEXT_MAX, description="A query, such as `user:jane* -result:success`."),
    ] = None
    user: Annotated[Text | None, Field(description=PATTERN)] = None
    action: Annotated[Text | None, Field(description=PATTERN)] = None
    resource: Annotated[str | None, Field(min_length=1, max_length=1024, description=PATTERN)] = (
        None
    )
    resource_id: Annotated[
        str | None, Field(min_length=1, max_length=1024, description=PATTERN)
    ] = None
    ip: Annotated[
        str | None, Field(min_length=2, max_length=64, description="An address or a CIDR range.")
    ] = None
    result: Result | None = None
    session: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    category: Category | None = None
    severity: Annotated[Severity | None, Field(description="Exactly this severity.")] = None
    text: Annotated[
        Text | None, Field(description="Part of the details, upper and lower case alike.")
    ] = None
    tenant: Annotated[
        str | None, Field(min_length=1, max_length=64, description="Only this tenant.")
    ] = None
    since: Annotated[
        str | None, Field(max_length=40, description="RFC 3339, a date, or so long ago: 15m, 7d.")
    ] = None
    until: Annotated[str | None, Field(max_length=40, description="As since; exclusive.")] = None
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = ROWS_DEFAULT
    cursor: Annotated[str | None, Field(max_length=512, description="`next` of a page.")] = None

    def question(self) -> str:
        """Name the question without its page."""
        return fingerprint(self.model_dump(exclude={"limit", "cursor"}, exclude_none=True))


# Each parameter is a field of the language; those that take a pattern.
PARAMETERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: name for name in ("user", "action", "resource", "resource_id", "ip", "result")},
        **{name: name for name in ("session", "category", "severity", "tenant", "since", "until")},
        "text": "details",
    }
)
_STARRED: Final = frozenset({"user", "action", "resource", "resource_id"})
# As in the sort key of `events`: were it to change, answers would be as right, only later.
_MINUTE: Final = "intDiv(toUnixTimestamp64Micro(occurred), 60000000)"
COORDINATES: Final = f"{_MINUTE} AS minute, tenant, user, incarnation, partition, offset"
# A minute is a function of the moment, so it changes nothing here but lets the store read along
# its sort key, from the end, and stop when it has enough.
ORDER: Final = "minute DESC, occurred DESC, incarnation DESC, partition DESC, offset DESC"


def conditions(search: Search, principal: Principal, now_us: int) -> Conditions:
    """Translate all but page and limit, within what the principal may see. Raises `Refused`."""
    try:
        return seen(to_node(search), principal, now_us)
    except QueryError as error:
        raise _of_parameter(error, "since") from error


@contextmanager
def narrowing(search: Search) -> Iterator[None]:
    """Tell how to narrow this very search, where the store refuses it for what it would read."""
    try:
        yield
    except Refused as error:
        if error.kind != "query_too_broad" or search.q is None:
            raise
        raise too_broad(to_node(search)) from error


def to_node(search: Search) -> Node:
    """Return the query that the parameters make together. Raises `Refused`."""
    given = [
        _term_of(parameter, value)
        for parameter in PARAMETERS
        if (value := getattr(search, parameter)) is not None
    ]
    return all_of((*given, parse(search.q or "")))


def _term_of(parameter: str, value: str) -> Node:
    """Return the condition of one parameter; it stands nowhere in the text of a query."""
    parts = tuple(value.split("*")) if parameter in _STARRED else (value,)
    name = Token("name", 0, 0, PARAMETERS[parameter])
    token = Token("value", 0, 0, value, parts, is_quoted=True)
    try:
        return node_of(place_of(name, Token("operator", 0, 0, ":")), token)
    except QueryError as error:
        raise _of_parameter(error, parameter) from error


def _of_parameter(error: QueryError, parameter: str) -> Refused:
    """Return the fault as that of the parameter, unless it stands in the text of a query."""
    if error.length:
        return error
    return Refused("bad_parameter", f"{parameter}: {error.said}", field=parameter, cure=error.cure)


def page(found: Conditions, search: Search) -> Conditions:
    """Narrow to what comes after the search's cursor. Raises `Refused` on a foreign one."""
    if search.cursor is None:
        return found
    return after(found, decode(search.cursor, search.question(), EVENT_KEY))


def after(found: Conditions, cursor: Cursor) -> Conditions:
    """Narrow to the rows that follow the cursor in `ORDER`."""
    incarnation, partition, offset = cursor.key
    return found.also(
        "occurred <= {c_occurred:DateTime64(6, 'UTC')} AND (occurred < "
        "{c_occurred:DateTime64(6, 'UTC')} OR (incarnation, partition, offset) < "
        "({c_incarnation:String}, {c_partition:UInt32}, {c_offset:UInt64}))",
        c_occurred=store_text(cursor.moment_us),
        c_incarnation=incarnation,
        c_partition=partition,
        c_offset=offset,
    )


def to_coordinates(found: Conditions, rows: int) -> Query:
    """Build the query for the coordinates of the newest `rows`."""
    sql = (
        f"SELECT {COORDINATES} FROM {EVENTS} WHERE {found.where()} "
        f"ORDER BY {ORDER} LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": rows})


def to_wide(chosen: Sequence[Mapping[str, Any]], columns: str) -> Query:
    """Build the query for all `columns` of the rows chosen; at least one.

    The rows' places in the sort key come first: the store then opens only where they lie.
    """
    sql = (
        f"SELECT {columns} FROM {EVENTS} "
        f"PREWHERE ({_MINUTE}, tenant, user) IN "
        "arrayZip({minutes:Array(Int64)}, {tenants:Array(String)}, {users:Array(String)}) "
        "AND offset IN {offsets:Array(UInt64)} "
        "WHERE (incarnation, partition, offset) IN arrayZip("
        "{incarnations:Array(String)}, {partitions:Array(UInt16)}, {offsets:Array(UInt64)})"
    )
    return Query(
        sql,
        {
            "minutes": [row["minute"] for row in chosen],
            "tenants": [row["tenant"] for row in chosen],
            "users": [row["user"] for row in chosen],
            "incarnations": [row["incarnation"] for row in chosen],
            "partitions": [row["partition"] for row in chosen],
            "offsets": [row["offset"] for row in chosen],
        },
    )


def tenant_of(found: Conditions, asked: str | None, allowed: str | None) -> Conditions:
    """Narrow to the credential's tenant, or to the one asked for. Raises `Refused`."""
    if allowed is not None and asked not in (None, allowed):
        raise foreign_tenant("tenant")
    only = allowed if allowed is not None else asked
    return found if only is None else found.also("tenant = {tenant:String}", tenant=only)
