"""Search as data, and the one query it becomes: text from outside is always a parameter."""

import ipaddress
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from console.cursor import EVENT_KEY, Cursor, decode, fingerprint
from console.moment import parse_moment, store_text
from console.problems import Refused
from schemas.alert import Severity
from schemas.canary import CANARY
from schemas.catalogue import Category
from schemas.event import Result
from schemas.tables import EVENTS

ROWS_DEFAULT: Final = 50
ROWS_MAX: Final = 10_000
STARS_MAX: Final = 8  # each `*` of a pattern multiplies the ways to match
PATTERN: Final = "Exact, or with `*` for anything."

Text = Annotated[str, Field(min_length=1, max_length=256)]


class Search(BaseModel):
    """What to look for; all that is given must hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class Query(NamedTuple):
    """SQL whose text depends only on which parameters are there, and their values."""

    sql: str
    parameters: Mapping[str, Any]


class Conditions(NamedTuple):
    """A WHERE as data: conditions to be joined by AND, and their parameters."""

    clauses: tuple[str, ...]
    parameters: Mapping[str, Any]

    def also(self, clause: str, **parameters: object) -> "Conditions":
        """Return these and one more."""
        return Conditions((*self.clauses, clause), {**self.parameters, **parameters})

    def where(self) -> str:
        """Return the SQL; without conditions one that always holds."""
        return " AND ".join(self.clauses) or "1"


NO_CANARIES: Final = f"NOT has(flags, '{CANARY}')"  # only a true mark has that flag


def unbounded() -> Conditions:
    """Return the conditions that always hold."""
    return Conditions((), MappingProxyType({}))


# `details` is JSON text whose escapes the store has normalised, so the needle is escaped alike.
# Reading it parses each row; the raw bytes tell first, cheaply, that most can't match: without a
# backslash in them nothing is escaped, and what is in the details stands there as it is.
_TEXT: Final = (
    "(positionCaseInsensitiveUTF8(raw, {text:String}) > 0 OR position(raw, '\\\\') > 0 "
    "OR details_masked != '') AND positionCaseInsensitiveUTF8(details, {text:String}) > 0"
)
# As in the sort key of `events`: were it to change, answers would be as right, only later.
_MINUTE: Final = "intDiv(toUnixTimestamp64Micro(occurred), 60000000)"
COORDINATES: Final = f"{_MINUTE} AS minute, tenant, user, incarnation, partition, offset"
# A minute is a function of the moment, so it changes nothing here but lets the store read along
# its sort key, from the end, and stop when it has enough.
ORDER: Final = "minute DESC, occurred DESC, incarnation DESC, partition DESC, offset DESC"


def conditions(search: Search, tenant: str | None, now_us: int) -> Conditions:
    """Translate all but page and limit.

    `tenant` is the credential's; None is one for all tenants. Raises `Refused`.
    """
    found = tenant_of(unbounded(), search.tenant, tenant)
    if search.tenant is None:  # who asks for their tenant wants canaries
        found = found.also(NO_CANARIES)
    for column in ("user", "action", "resource", "resource_id"):
        found = _pattern(found, column, getattr(search, column))
    if search.ip is not None:
        found = _addresses(found, search.ip)
    for column, value, kind in (
        ("result", search.result, "String"),
        ("session_id", search.session, "String"),
        ("category", search.category, "String"),
        ("severity", search.severity, "String"),
    ):
        if value is not None:
            found = found.also(f"{column} = {{{column}:{kind}}}", **{column: value})
    if search.text is not None:
        found = found.also(_TEXT, text=orjson.dumps(search.text).decode()[1:-1])
    return _period(found, search.since, search.until, now_us)


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


def like(pattern: str) -> str:
    """Return the LIKE pattern: `*` is anything, every other character is itself."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def address_range(text: str) -> tuple[str, str]:
    """Return first and last address of an address or CIDR as IPv6 texts; v4 lies in ::ffff:0:0/96.

    Raises `Refused` naming the field.
    """
    wrong = Refused(
        "bad_parameter",
        "ip is neither an address nor a range",
        field="ip",
        cure="write 203.0.113.42, 203.0.113.0/24 or 2001:db8::/32",
    )
    if "%" in text:  # a zone, such as fe80::1%eth0, says nothing outside of its machine
        raise wrong
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise wrong from error
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == 4:  # noqa: PLR2004 - the protocol's number
        first, last = first | _MAPPED, last | _MAPPED
    return str(ipaddress.IPv6Address(first)), str(ipaddress.IPv6Address(last))


_MAPPED: Final = 0xFFFF << 32


def tenant_of(found: Conditions, asked: str | None, allowed: str | None) -> Conditions:
    """Narrow to the credential's tenant, or to the one asked for. Raises `Refused`."""
    if allowed is not None and asked not in (None, allowed):
        raise Refused("forbidden_tenant", "the token does not reach that tenant", field="tenant")
    only = allowed if allowed is not None else asked
    return found if only is None else found.also("tenant = {tenant:String}", tenant=only)


def _pattern(found: Conditions, column: str, pattern: str | None) -> Conditions:
    if pattern is None:
        return found
    if pattern.count("*") > STARS_MAX:
        raise Refused(
            "bad_parameter",
            f"{column} has more than {STARS_MAX} `*`",
            field=column,
            cure="use less",
        )
    head = pattern.rstrip("*")
    if head == pattern and "*" not in pattern:
        return found.also(f"{column} = {{{column}:String}}", **{column: pattern})
    if "*" in head:
        return found.also(f"{column} LIKE {{{column}:String}}", **{column: like(pattern)})
    if not head:  # anything at all, but something
        return found.also(f"{column} != ''")
    return found.also(f"startsWith({column}, {{{column}:String}})", **{column: head})


def _addresses(found: Conditions, text: str) -> Conditions:
    first, last = address_range(text)
    if first == last:
        found = found.also("ip_address = {ip:IPv6}", ip=first)
    else:
        found = found.also(
            "ip_address BETWEEN {ip_first:IPv6} AND {ip_last:IPv6}", ip_first=first, ip_last=last
        )
    # :: is how the store says that an event has no address
    return found.also("ip_address != toIPv6('::')") if first == "::" else found


def _period(found: Conditions, since: str | None, until: str | None, now_us: int) -> Conditions:
    since_us = None if since is None else parse_moment(since, now_us, "since")
    until_us = None if until is None else parse_moment(until, now_us, "until")
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise Refused(
            "bad_parameter",
            "since is not before until",
            field="since",
            cure="exchange them, or leave one out",
        )
    if since_us is not None:
        found = found.also("occurred >= {since:DateTime64(6, 'UTC')}", since=store_text(since_us))
    if until_us is not None:
        found = found.also("occurred < {until:DateTime64(6, 'UTC')}", until=store_text(until_us))
    return found
