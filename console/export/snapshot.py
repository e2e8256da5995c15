"""What an export is bound to: the rows that the ledger had stored without a gap when it began.

Rows below a partition's end never change, and those of replays are cut at the last one seen, so
an export has the same rows however long it takes and however often it is resumed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import orjson

from console.export.store import BOUNDS, Stored
from console.query.conditions import Conditions, unbounded
from schemas.tables import BATCHES, EVENTS

NEVER_MS: Final = -1

_ENDS: Final = f"""
SELECT incarnation, topic, partition, toUInt64(max(origin_next)) AS next_offset,
  toUInt64(sum(rows_stored)) AS stored
FROM {BATCHES} FINAL GROUP BY incarnation, topic, partition ORDER BY incarnation, topic, partition
"""
_CUT: Final = f"""
SELECT count() AS rows, toUnixTimestamp64Milli(max(stored)) AS cut_ms
FROM {EVENTS} WHERE replayed = 1
"""


@dataclass(frozen=True, slots=True)
class End:
    """One partition: offsets below `next_offset` are bounds of the export; `stored` by the sink."""

    incarnation: str
    topic: str
    partition: int
    next_offset: int
    stored: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All partitions, and when the last replay that belongs to it was stored (ms)."""

    ends: tuple[End, ...]
    replayed_until_ms: int = NEVER_MS

    def dumps(self) -> str:
        """Return it as text; the inverse of `loads`."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read what `dumps` wrote."""
        found = orjson.loads(text)
        return cls(tuple(End(**end) for end in found["ends"]), found["replayed_until_ms"])

    def conditions(self) -> Conditions:
        """Return what holds for exactly the rows that were stored then."""
        found = unbounded()
        clauses = []
        for number, (key, ends) in enumerate(_by_topic(self.ends).items()):
            clauses.append(
                f"(incarnation = {{s_incarnation{number}:String}} "
                f"AND topic = {{s_topic{number}:String}} "
                f"AND offset < {{s_ends{number}:Array(UInt64)}}[partition + 1])"
            )
            given: dict[str, Any] = {
                f"s_incarnation{number}": key[0],
                f"s_topic{number}": key[1],
                f"s_ends{number}": ends,
            }
            found = Conditions(found.clauses, {**found.parameters, **given})
        below = " OR ".join(clauses) or "0"
        return found.also(
            f"(replayed = 0 AND ({below}) OR replayed = 1 "
            "AND toUnixTimestamp64Milli(stored) <= {s_replayed:Int64})",
            s_replayed=self.replayed_until_ms,
        )


def _by_topic(ends: Sequence[End]) -> dict[tuple[str, str], list[int]]:
    """Return the ends by incarnation and topic, by partition from 0 on; one unknown ends at 0."""
    found: dict[tuple[str, str], list[int]] = {}
    for end in ends:
        nexts = found.setdefault((end.incarnation, end.topic), [])
        nexts.extend([0] * (end.partition + 1 - len(nexts)))
        nexts[end.partition] = end.next_offset
    return found


def take_snapshot(store: Stored) -> Snapshot:
    """Ask the store how far it is."""
    ends = tuple(
        End(
            str(row["incarnation"]),
            str(row["topic"]),
            int(row["partition"]),
            int(row["next_offset"]),
            int(row["stored"]),
        )
        for row in store.query(_ENDS, {}, BOUNDS)
    )
    (replayed,) = store.query(_CUT, {}, BOUNDS)
    return Snapshot(ends, int(replayed["cut_ms"]) if replayed["rows"] else NEVER_MS)


@dataclass(frozen=True, slots=True)
class Counted:
    """What lies in one partition: stored by the ledger, and how many of these are exported."""

    incarnation: str
    topic: str
    partition: int
    next_offset: int
    ledger_rows: int
    rows: int


def count(
    store: Stored, snapshot: Snapshot, tenant: str | None, found: Conditions
) -> tuple[Counted, ...]:
    """Count per partition what the ledger has, and of that what is exported by `found`.

    For all tenants the ledger's number is the sink's own book plus the replays; the book is not
    kept by tenant, so for one tenant its rows are counted as the ledger counts rows. Its ends are
    those of its own rows: where a partition ends says how much all tenants publish.
    """
    all_of_it = snapshot.conditions()
    if tenant is not None:
        all_of_it = all_of_it.also("tenant = {of_tenant:String}", of_tenant=tenant)
    sql = (
        "SELECT incarnation, topic, partition, count() AS rows, countIf(replayed = 1) AS replays, "
        "toUInt64(max(offset) + 1) AS next_offset "
        f"FROM {EVENTS} WHERE {{where}} GROUP BY incarnation, topic, partition"
    )

    def ask(conditions: Conditions) -> dict[tuple[str, str, int], dict[str, Any]]:
        rows = store.query(
            sql.replace("{where}", conditions.where()), conditions.parameters, BOUNDS
        )
        return {(r["incarnation"], r["topic"], int(r["partition"])): r for r in rows}

    there, wanted = ask(all_of_it), ask(found)
    ends = {(end.incarnation, end.topic, end.partition): end for end in snapshot.ends}
    if tenant is not None:
        ends = {
            key: End(*key, int(row["next_offset"]), int(row["rows"]) - int(row["replays"]))
            for key, row in there.items()
        }
    counted = []
    for key in sorted(ends.keys() | there.keys()):
        end = ends.get(key, End(*key, 0, 0))
        stored = end.stored + int(there[key]["replays"] if key in there else 0)
        rows = int(wanted[key]["rows"] if key in wanted else 0)
        counted.append(Counted(*key, end.next_offset, stored, rows))
    return tuple(counted)
