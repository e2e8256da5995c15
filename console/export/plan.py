"""How an export is cut: into pieces of the sort key, each of some megabytes, known beforehand.

A piece is a range of minutes; a minute with too much in it is cut at rows. Where the cuts are is
a function of the snapshot's rows alone, so a resumed export cuts alike.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import orjson

from console.export.store import BOUNDS, Stored
from console.query.conditions import Conditions
from schemas.tables import EVENTS

PIECE_BYTES: Final = 6_291_456  # as text; several of them stand in memory at once
ROW_BYTES: Final = 600  # what a row's line has beside the raw message, about
ROWS_AT_ONCE: Final = 50_000  # keys looked at to cut a minute; raw messages are read for it

MINUTE: Final = "intDiv(toUnixTimestamp64Micro(occurred), 60000000)"
WEIGHT: Final = f"length(raw) + length(details_masked) + {ROW_BYTES}"
ORDER: Final = f"{MINUTE}, tenant, user, occurred, partition, offset, incarnation, stored"
_KEY: Final = (
    f"({MINUTE}, toString(tenant), user, toUnixTimestamp64Micro(occurred), partition, offset, "
    "toString(incarnation))"
)
_TYPES: Final = ("Int64", "String", "String", "Int64", "UInt16", "UInt64", "String")

Key = tuple[Any, ...]


class Piece(NamedTuple):
    """Rows of some minutes; of those after one key, up to another, where a minute was cut."""

    first: int
    last: int
    rows: int
    weight: int
    after: Key | None = None
    upto: Key | None = None

    def conditions(self, found: Conditions) -> Conditions:
        """Narrow to its rows."""
        found = found.also(
            f"{MINUTE} BETWEEN {{p_first:Int64}} AND {{p_last:Int64}}",
            p_first=self.first,
            p_last=self.last,
        )
        if self.after is not None:
            found = _compared(found, ">", "a", self.after)
        return found if self.upto is None else _compared(found, "<=", "u", self.upto)


def _compared(found: Conditions, sign: str, name: str, key: Key) -> Conditions:
    places = ", ".join(f"{{k_{name}{at}:{type_}}}" for at, type_ in enumerate(_TYPES))
    given = {f"k_{name}{at}": value for at, value in enumerate(key)}
    # A tuple says what is meant; what follows from it is said so that the store's index sees it.
    strict, minute, tenant, user, moment = (
        sign[0],
        *(f"{{k_{name}{at}:{type_}}}" for at, type_ in enumerate(_TYPES[:4])),
    )
    hint = (
        f"({MINUTE} {strict} {minute} OR tenant {strict} {tenant} OR (tenant = {tenant} AND "
        f"(user {strict} {user} OR (user = {user} AND "
        f"occurred {strict}= fromUnixTimestamp64Micro({moment}, 'UTC')))))"
    )
    return found.also(f"{hint} AND {_KEY} {sign} ({places})", **given)


class Plan(NamedTuple):
    """The pieces, in order; `rows` is exact, `weight` about how many bytes of text that makes."""

    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(piece.rows for piece in self.pieces)

    @property
    def weight(self) -> int:
        """About how many bytes of text."""
        return sum(piece.weight for piece in self.pieces)

    @property
    def fingerprint(self) -> str:
        """What tells that an export is not the one that was begun."""
        return hashlib.sha256(orjson.dumps([list(piece) for piece in self.pieces])).hexdigest()


def make_plan(store: Stored, found: Conditions, piece_bytes: int = PIECE_BYTES) -> Plan:
    """Count the rows of each minute and cut; reads every row that could match once."""
    sql = (
        "SELECT min(minute) AS first, max(minute) AS last, sum(n) AS rows, sum(w) AS weight FROM ("
        "SELECT minute, n, w, sum(w) OVER (ORDER BY minute ROWS UNBOUNDED PRECEDING) AS upto FROM ("
        f"SELECT {MINUTE} AS minute, count() AS n, sum({WEIGHT}) AS w "
        f"FROM {EVENTS} WHERE {found.where()} GROUP BY minute)) "
        "GROUP BY intDiv(upto - w, {piece_bytes:UInt64}) ORDER BY first"
    )
    rows = store.query(sql, {**found.parameters, "piece_bytes": piece_bytes}, BOUNDS)
    return Plan(
        tuple(
            Piece(int(r["first"]), int(r["last"]), int(r["rows"]), int(r["weight"])) for r in rows
        )
    )


def is_light(piece: Piece, piece_bytes: int = PIECE_BYTES) -> bool:
    """Say whether a piece may be made as it is."""
    return piece.weight <= 2 * piece_bytes


def cut_rows(
    store: Stored, found: Conditions, piece: Piece, piece_bytes: int = PIECE_BYTES
) -> Iterator[Piece]:
    """Yield a piece that is too heavy cut at rows; asks for them as it goes."""
    left = piece
    while rows := _next_cuts(store, left.conditions(found), piece_bytes):
        is_all = sum(int(row["rows"]) for row in rows) < ROWS_AT_ONCE
        # the last one may go on beyond what was looked at, so it is looked at again
        for row in rows if is_all or len(rows) == 1 else rows[:-1]:
            upto = tuple(row["upto"])
            # minutes narrow what the store opens; the key says where exactly
            yield left._replace(
                last=upto[0], rows=int(row["rows"]), weight=int(row["weight"]), upto=upto
            )
            left = left._replace(first=upto[0], after=upto)
        if is_all:
            return


def _next_cuts(store: Stored, found: Conditions, piece_bytes: int) -> Sequence[dict[str, Any]]:
    sql = (
        "SELECT max(place) AS upto, count() AS rows, sum(w) AS weight FROM ("
        "SELECT place, w, sum(w) OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) AS upto_w FROM ("
        f"SELECT {_KEY} AS place, {WEIGHT} AS w FROM {EVENTS} "
        f"WHERE {found.where()} ORDER BY {ORDER} LIMIT {{at_once:UInt32}})) "
        "GROUP BY intDiv(upto_w - w, {piece_bytes:UInt64}) ORDER BY upto"
    )
    asked = {**found.parameters, "at_once": ROWS_AT_ONCE, "piece_bytes": piece_bytes}
    return store.query(sql, asked, BOUNDS)
