"""Bytes on disk an event, with the raw bytes kept: as the sink's batches lie, and merged.

Beside our own events those of a real CloudTrail file, where there is one: so that nobody needs to
believe that ours are no easier to compress.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cramjam import zstd

from bench.load import events
from bench.report import ROOT, Table
from bench.rows import fill, fill_cloudtrail, part_sizes
from bench.stack import work_folder
from producers.file import read_lines

CLOUDTRAIL: Final = ROOT.parent / "shared/data/cloudtrail/invictus-aws-2023-07-10.jsonl.gz"
BLOCK_BYTES: Final = 1 << 20  # what ClickHouse compresses at once, at most
LEVEL: Final = 3
COMPARED: Final = 20_000  # events; from there on the figure stays


def run(*, rows: int) -> Table:
    """Store `rows` distinct events of 1 kB as the sink does and ask ClickHouse for the sizes."""
    with work_folder() as folder:
        fill(folder, rows)
        found = {"as inserted": part_sizes(folder), "merged": part_sizes(folder, merged=True)}
    table = [_row(state, sizes) for state, sizes in found.items()]
    sizes = found["merged"]["columns"]  # of few rows, whose columns lie together, all 0
    columns = ", ".join(f"{n} {size:g}" for n, size in sizes.items() if size) or "not told"
    notes = [
        (
            "`SELECT sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND"
            " table = 'events'`"
        ),
        f"Largest columns, merged: {columns}.",
    ]
    if CLOUDTRAIL.exists():
        with work_folder() as folder:
            fill_cloudtrail(folder, CLOUDTRAIL)
            found["CloudTrail, merged"] = part_sizes(folder, merged=True)
        table.append(_row("CloudTrail, merged", found["CloudTrail, merged"]))
        notes.append(_compared(CLOUDTRAIL))
    return Table("disk", f"Disk: {rows:,} events of 1 kB", table, notes, facts=found)


def _row(state: str, sizes: Mapping[str, Any]) -> dict[str, object]:
    return {
        "state": state,
        "rows": sizes["rows"],
        "parts": sizes["parts"],
        "published bytes an event": round(sizes["published_bytes_an_event"]),
        "bytes an event": round(sizes["bytes_an_event"], 1),
        "of these raw": sizes["columns"].get("raw"),
    }


def _compared(file: Path) -> str:
    """Say what a kilobyte of either kind of event takes when nothing but zstd has its hands on."""
    ours = per_kilobyte(raw for raw, _key in events(COMPARED))
    theirs = per_kilobyte(_lines(file))
    return (
        f"1,000 bytes of events, as they come, take zstd (level {LEVEL}, blocks of 1 MiB)"
        f" {ours:.0f} bytes of ours, {theirs:.0f} of CloudTrail's own."
    )


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        for line in read_lines(stream):
            yield line.raw


def per_kilobyte(raws: Iterable[bytes]) -> float:
    """Return how many bytes zstd makes of 1,000 bytes of these, block by block."""
    whole = b"\n".join(raws)
    blocks = [whole[at : at + BLOCK_BYTES] for at in range(0, len(whole), BLOCK_BYTES)]
    return 1_000 * sum(len(bytes(zstd.compress(block, LEVEL))) for block in blocks) / len(whole)
