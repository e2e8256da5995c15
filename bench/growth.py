"""How latency grows with stored rows, event size and partitions; one changes, the others stay."""

from typing import Final

from bench.broker import say
from bench.latency import measure
from bench.measure import percentile
from bench.report import Row, Table
from bench.rows import fill
from bench.stack import work_folder

SIZES: Final = (1_000, 4_000, 16_000)
PARTITIONS: Final = (4, 1, 16)


def run(*, seconds: int, rate: int, rows_max: int) -> Table:
    """Measure each point for `seconds`; `rows_max` is the largest number of rows stored before."""
    cases = [(0, size, PARTITIONS[0]) for size in SIZES]
    cases += [(0, SIZES[0], count) for count in PARTITIONS[1:]]
    cases += [(rows, SIZES[0], PARTITIONS[0]) for rows in (rows_max // 10, rows_max)]
    table = [_case(rows, size, count, seconds, rate) for rows, size, count in cases]
    title = f"Growth of latency at {rate:,} events/s, {seconds} s each"
    return Table("growth", title, table)


def _case(rows: int, size: int, partitions: int, seconds: int, rate: int) -> Row:
    say(f"growth: {rows:,} rows, {size:,} bytes, {partitions} partitions")
    with work_folder() as folder:
        if rows:
            fill(folder, rows)
        found = measure(folder, seconds=seconds, rate=rate, size_bytes=size, partitions=partitions)
    row: Row = {"rows before": rows, "bytes an event": size, "partitions": partitions}
    for name, values in (("searchable", found.searchable), ("alerted", found.alerted)):
        row[f"{name} p50 ms"] = round(percentile(values, 0.5)) if values else None
        row[f"{name} p99 ms"] = round(percentile(values, 0.99)) if values else None
    return row
