"""Stores filled without Kafka, and what lies in them; a process of its own, as chDB needs.

`python -m bench.rows FOLDER fill ROWS [SIZE_BYTES]`, `python -m bench.rows FOLDER book`,
`python -m bench.rows FOLDER cloudtrail FILE` and `python -m bench.rows FOLDER parts [merged]`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bench.broker import say
from bench.contenders.whole import whole_stage
from bench.load import events
from consumers.migrate import migrate
from pipeline.run import Run
from producers.file import cloudtrail, read_lines
from runtime.clickhouse import Store
from runtime.clock import SystemClock
from schemas.tables import EVENT_COLUMNS
from schemas.tables import EVENTS as TABLE
from schemas.topics import EVENTS

ROOT: Final = Path(__file__).parent.parent
BATCH: Final = 20_000  # as the sink cuts them
SEED_ROWS: Final = 500_000  # from there on rows are copies, shifted in time
SEED_SPAN_S: Final = SEED_ROWS // 100  # of event time
DEADLINE_S: Final = 120
PARTITIONS: Final = 4
FILL_S: Final = 3_600.0
MERGES_S: Final = 120.0
POLL_S: Final = 0.5
SEED_ONLY: Final = "WHERE offset < {rows:UInt64}"


def fill(folder: Path, rows: int, size_bytes: int = 1_000) -> None:
    """Bring the store in `folder` to `rows` events, through stage 1 and as copies of those."""
    _run(folder, "fill", str(rows), str(size_bytes))


def fill_cloudtrail(folder: Path, file: Path) -> None:
    """Bring the events of a CloudTrail file into the store in `folder`, as the sink would."""
    _run(folder, "cloudtrail", str(file))


def book(folder: Path) -> None:
    """Write the ledger's lines of the rows in `folder`, as if the sink had stored them."""
    _run(folder, "book")


def part_sizes(folder: Path, *, merged: bool = False) -> dict[str, Any]:
    """Return rows, bytes an event, and the bytes of each column of the store in `folder`."""
    done = _run(folder, "parts", *(["merged"] if merged else []))
    found: dict[str, Any] = json.loads(done)
    return found


def _run(folder: Path, *words: str) -> str:
    argv = [sys.executable, "-m", "bench.rows", str(folder), *words]
    done = subprocess.run(
        argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=FILL_S
    )
    if done.returncode:
        raise SystemExit(f"bench.rows {' '.join(words)} failed")
    return done.stdout


@dataclass(frozen=True, slots=True)
class _Raw:
    """A raw record as stage 1 reads it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes


def _fill(store: Store, rows: int, size_bytes: int) -> None:
    migrate(store)
    have = store.query_rows("SELECT count() FROM events")[0][0]
    if have == 0:
        have = _insert(store, events(min(rows, SEED_ROWS), size_bytes))
    copy = have // SEED_ROWS
    while have < rows:
        missing = min(rows - have, SEED_ROWS)
        store.command(_copy_sql(copy), {"rows": missing})
        have, copy = have + missing, copy + 1
        say(f"  {have:,} rows")
    _wait_merged(store)


def _wait_merged(store: Store) -> None:
    """Let the merges that the fill left behind end, so that they are not measured."""
    deadline = time.monotonic() + MERGES_S
    while store.query_rows("SELECT count() FROM system.merges")[0][0]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)


def _cloudtrail_events(file: Path) -> Iterator[tuple[bytes, bytes | None]]:
    with file.open("rb") as stream:
        for line in read_lines(stream):
            message = cloudtrail(line.raw)
            yield message.value, message.key


def _insert(store: Store, made: Iterator[tuple[bytes, bytes | None]]) -> int:
    stage, clock = whole_stage(), SystemClock()
    recorded_ms = clock.now_ms()
    columns = (*EVENT_COLUMNS, "batch_deadline")
    start = 0
    while batch := list(islice(made, BATCH)):
        raws = [_Raw(start + n, recorded_ms, key, value) for n, (value, key) in enumerate(batch)]
        output = stage(Run(EVENTS, start // BATCH % PARTITIONS, start, raws))
        stamp = b'{"batch_deadline":%d,' % (clock.now_ms() // 1000 + DEADLINE_S)
        lines = b"\n".join(stamp + record.value[1:] for record in output.records)
        store.insert_lines(TABLE, columns, lines, f"fill-{start}")
        start += len(batch)
    return start


def _copy_sql(copy: int) -> str:
    """Return the insert of one copy: shifted in time, with ids and sessions of its own."""
    changed = {
        "occurred": f"addSeconds(occurred, {copy * SEED_SPAN_S})",
        "event_id": f"concat(event_id, '.c{copy}')",
        "session_id": f"concat(session_id, '.c{copy}')",
        "request_id": f"concat(request_id, '.c{copy}')",
        "offset": f"offset + {copy * SEED_ROWS}",
        "batch_deadline": f"now() + {DEADLINE_S}",
    }
    columns = (*EVENT_COLUMNS, "batch_deadline")
    values = ", ".join(changed.get(name, f"`{name}`") for name in columns)
    names = ", ".join(f"`{name}`" for name in columns)
    # copies lie above the offsets of the seed
    return " ".join(
        ("INSERT INTO events", f"({names})", "SELECT", values, "FROM events", SEED_ONLY)
    )


# What no sink has stored has no lines: one a partition, with the offsets between as gaps.
_BOOK: Final = """
INSERT INTO batches (incarnation, topic, partition, origin_from, origin_next, record_first,
  record_last, rows_stored, gaps)
SELECT incarnation, topic, partition, 0, max(offset) + 1, 0, max(offset), count(),
  max(offset) + 1 - count()
FROM events GROUP BY incarnation, topic, partition
"""


def _parts(store: Store, *, merged: bool) -> dict[str, Any]:
    if merged:
        store.command("OPTIMIZE TABLE events FINAL")
    rows, size, parts = store.query_rows(
        "SELECT sum(rows), sum(bytes_on_disk), count() FROM system.parts"
        " WHERE active AND database = currentDatabase() AND table = 'events'"
    )[0]
    columns = store.query_rows(
        "SELECT column, sum(column_bytes_on_disk) AS size FROM system.parts_columns"
        " WHERE active AND database = currentDatabase() AND table = 'events'"
        " GROUP BY column ORDER BY size DESC LIMIT 8"
    )
    raw = store.query_rows("SELECT avg(length(raw)) FROM events")[0][0]
    return {
        "rows": rows,
        "parts": parts,
        "published_bytes_an_event": raw,
        "bytes_an_event": size / max(rows, 1),
        "columns": {name: round(bytes_ / max(rows, 1), 2) for name, bytes_ in columns},
    }


def main() -> None:
    """Do what the command line says."""
    folder, what, *rest = sys.argv[1:]
    with Store(f"chdb://{folder}/store") as store:
        if what == "fill":
            _fill(store, int(rest[0]), int(rest[1]))
        elif what == "book":
            store.command(_BOOK)
        elif what == "cloudtrail":
            migrate(store)
            _insert(store, _cloudtrail_events(Path(rest[0])))
        else:
            print(json.dumps(_parts(store, merged=bool(rest))))


if __name__ == "__main__":
    main()
