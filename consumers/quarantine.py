"""Replay of quarantined messages: judged again by the current stage, and moved over once."""

import base64
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import orjson

from runtime.clickhouse import Store
from schemas.record import ACCEPTED
from schemas.tables import EVENT_COLUMNS, EVENTS

ROWS_PER_PAGE: Final = 20  # of up to 2 MiB each: bounds the memory of a replay
_COLUMNS: Final = ("batch_deadline", "replayed", *EVENT_COLUMNS)
_OPEN: Final = """
SELECT incarnation, topic, partition, offset, toUnixTimestamp64Milli(recorded) AS recorded_ms,
  base64Encode(raw) AS raw_base64
FROM quarantine_open
WHERE (incarnation, topic, partition, offset) >
    ({incarnation:String}, {topic:String}, {partition:UInt16}, {offset:UInt64})
  AND size = length(raw)  -- of a larger one only the start was kept: it can't be judged again
  AND ({reason:String} = '' OR reason = {reason:String})
  AND ({only_partition:Int64} < 0 OR partition = {only_partition:Int64})
  AND ({only_offset:Int64} < 0 OR offset = {only_offset:Int64})
ORDER BY incarnation, topic, partition, offset LIMIT {rows:UInt32}
"""

Alerts = Sequence[tuple[bytes, bytes]]


class Coordinates(NamedTuple):
    """Where a message lies in Kafka."""

    incarnation: str
    topic: str
    partition: int
    offset: int


class JudgeAgain(Protocol):
    """The current stage 1 for one message: kind, line and alerts, under its old coordinates."""

    def __call__(  # noqa: PLR0913, PLR0917 - a message's coordinates and content
        self,
        raw: bytes | None,
        key: bytes | None,
        incarnation: str,
        topic: str,
        partition: int,
        offset: int,
        recorded_ms: int,
    ) -> tuple[str, bytes, Alerts]:
        """Total, as stage 1 is."""
        ...


class Selection(NamedTuple):
    """Which open rows: all that are given must match; `after` continues an earlier report."""

    reason: str | None = None
    partition: int | None = None
    offset: int | None = None
    after: Coordinates | None = None


class ReplayReport(NamedTuple):
    """What became of the rows looked at. `next` is where to continue, None at the end."""

    replayed: int
    still_rejected: int
    next: Coordinates | None


def replay(  # noqa: PLR0913 - the seams by which it is tested
    store: Store,
    judge_again: JudgeAgain,
    selection: Selection,
    limit: int,
    *,
    emit: Callable[[Alerts], None],
    now_s: Callable[[], int],
    deadline_s: int = 60,
) -> ReplayReport:
    """Judge at most `limit` open rows again, in the order of coordinates, and move what passes.

    Idempotent, safe beside another replay and after a kill at any point: a row is moved by one
    insert under a token made of its coordinates, after a look that found it open, and the store
    refuses that insert once `deadline_s` passed since the look. Alerts are emitted before the
    insert: killed in between, the row is still open and they are emitted again under the same
    ids; after it, they would be lost. Raises `StoreUnavailable`; run it again.
    """
    assert limit > 0, "a replay is bounded"
    replayed = still_rejected = 0
    last: Coordinates | None = None
    for where, row, asked_s in _open_rows(store, selection, limit, now_s):
        last = where
        raw = base64.b64decode(row["raw_base64"])
        kind, line, alerts = judge_again(raw, None, *where, int(row["recorded_ms"]))
        if kind != ACCEPTED:
            still_rejected += 1
            continue
        if alerts:
            emit(alerts)
        _move(store, where, line, asked_s + deadline_s)
        replayed += 1
    is_end = replayed + still_rejected < limit
    return ReplayReport(replayed, still_rejected, None if is_end else last)


def _open_rows(
    store: Store, selection: Selection, limit: int, now_s: Callable[[], int]
) -> Iterator[tuple[Coordinates, dict[str, Any], int]]:
    """Page through the open rows; each comes with the time before the look that found it."""
    after = selection.after or Coordinates("", "", 0, 0)
    left = limit
    while left > 0:
        asked_s = now_s()
        rows = store.query(
            _OPEN,
            {
                **after._asdict(),
                "reason": selection.reason or "",
                "only_partition": -1 if selection.partition is None else selection.partition,
                "only_offset": -1 if selection.offset is None else selection.offset,
                "rows": min(left, ROWS_PER_PAGE),
            },
        )
        for row in rows:
            after = Coordinates(
                str(row["incarnation"]),
                str(row["topic"]),
                int(row["partition"]),
                int(row["offset"]),
            )
            yield after, row, asked_s
        left -= len(rows)
        if len(rows) < ROWS_PER_PAGE:
            return


def _move(store: Store, where: Coordinates, line: bytes, deadline_s: int) -> None:
    row = orjson.loads(line)
    body = orjson.dumps({"batch_deadline": deadline_s, "replayed": 1, **row})
    token = f"replay:{where.incarnation}:{where.topic}:{where.partition}:{where.offset}"
    store.insert_lines(EVENTS, _COLUMNS, body, token)
