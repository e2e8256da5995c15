"""What the store can tell a sink that takes a partition over: by coordinates, not by trust."""

from typing import Final, NamedTuple

from consumers.sink.batch import Batch
from runtime.clickhouse import Store
from schemas.tables import BATCHES, EVENTS, QUARANTINE

# On a cluster a replica that lags must not answer "no rows".
CONSISTENT: Final = {"select_sequential_consistency": 1}
_WHERE: Final = (
    "WHERE incarnation = {incarnation:String} AND topic = {topic:String} "
    "AND partition = {partition:UInt16}"
)


class Extent(NamedTuple):
    """How far the ledger goes: the next raw offset, and the next record."""

    origin_next: int
    record_next: int


def look(store: Store, topic: str, partition: int, batch: Batch) -> tuple[int, int]:
    """Count the batch's rows in events and in quarantine, by their raw offsets.

    Rows that a replay moved to events are not the batch's.
    """
    counts = []
    for table, own in ((EVENTS, "AND replayed = 0"), (QUARANTINE, "")):
        rows = store.query_rows(
            f"SELECT count() FROM {table} {_WHERE} {own} "
            "AND toYYYYMM(recorded) = {month:UInt32} "
            "AND offset >= {low:UInt64} AND offset < {next:UInt64}",
            {
                **_place(batch.position.incarnation, topic, partition),
                "month": batch.month,
                "low": batch.position.expected,
                "next": batch.origin_next,
            },
            CONSISTENT,
        )
        counts.append(int(rows[0][0]))
    return counts[0], counts[1]


def extent(store: Store, incarnation: str, topic: str, partition: int) -> Extent | None:
    """Return where the ledger of one incarnation ends; None if it has no line."""
    rows = store.query_rows(
        f"SELECT count(), max(origin_next), max(record_last) + 1 FROM {BATCHES} {_WHERE}",
        _place(incarnation, topic, partition),
        CONSISTENT,
    )
    count, origin_next, record_next = rows[0]
    return Extent(int(origin_next), int(record_next)) if count else None


def latest_incarnation(store: Store, topic: str, partition: int) -> str:
    """Return the incarnation of the partition's newest line in the ledger; "" without any."""
    rows = store.query_rows(
        f"SELECT argMax(incarnation, written_at) FROM {BATCHES} "
        "WHERE topic = {topic:String} AND partition = {partition:UInt16}",
        {"topic": topic, "partition": partition},
        CONSISTENT,
    )
    return str(rows[0][0])


def rows_from(store: Store, incarnation: str, topic: str, partition: int, low: int) -> int:
    """Count the rows at or past raw offset `low`: where no batch was announced there are none."""
    total = 0
    for table, own in ((EVENTS, "AND replayed = 0"), (QUARANTINE, "")):
        rows = store.query_rows(
            f"SELECT count() FROM {table} {_WHERE} {own} AND offset >= {{low:UInt64}}",
            {**_place(incarnation, topic, partition), "low": low},
            CONSISTENT,
        )
        total += int(rows[0][0])
    return total


def _place(incarnation: str, topic: str, partition: int) -> dict[str, str | int]:
    return {"incarnation": incarnation, "topic": topic, "partition": partition}
