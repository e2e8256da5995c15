"""Bytes on disk an event, with the raw bytes kept: as the sink's batches lie, and merged."""

from bench.report import Table
from bench.rows import fill, part_sizes
from bench.stack import work_folder


def run(*, rows: int) -> Table:
    """Store `rows` distinct events of 1 kB as the sink does and ask ClickHouse for the sizes."""
    with work_folder() as folder:
        fill(folder, rows)
        found = {"as inserted": part_sizes(folder), "merged": part_sizes(folder, merged=True)}
    table = [
        {
            "state": state,
            "rows": sizes["rows"],
            "parts": sizes["parts"],
            "bytes an event": round(sizes["bytes_an_event"], 1),
            "of these raw": sizes["columns"].get("raw"),
        }
        for state, sizes in found.items()
    ]
    columns = ", ".join(f"{n} {size:g}" for n, size in found["merged"]["columns"].items())
    notes = [
        (
            "`SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND"
            " table = 'events'`"
        ),
        f"Largest columns, merged: {columns}.",
    ]
    return Table("disk", f"Disk: {rows:,} events of 1 kB", table, notes, facts=found)
