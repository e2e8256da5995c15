"""Exports of many rows through the REST API: how fast each format is made, and in what memory."""

import hashlib
import time
from pathlib import Path
from typing import Any, Final

from bench.broker import say
from bench.measure import MIB, forget_peak, usage
from bench.report import Row, Table
from bench.rows import book, fill
from bench.stack import Stack, stack, work_folder
from cli.client import Client
from schemas.export import FORMATS, Format

POLL_S: Final = 0.2
SETTLE_S: Final = 3.0  # freed pages go back to the system within a second
WARM: Final = "user:nobody-at-all"  # loads what an export of nothing needs, as any use does


def run(*, rows: int, kept: Path | None = None) -> Table:
    """Measure over `rows` rows; a store in `kept` that has them already is used again."""
    with work_folder(kept) as folder:
        say(f"export: filling {rows:,} rows")
        fill(folder, rows)
        book(folder)
        with stack(folder, with_pipeline=False) as running:
            client = running.client()
            for form in FORMATS:
                _make(client, {"q": WARM, "format": form})
            measured = [_measure(running, client, form, rows) for form in FORMATS]
            client.close()
    notes = [
        (
            "Made: asked for until the manifest is there, the plan, all fsyncs and the count of the"
            " ledger included. Fetched: through HTTP, hashed as it comes. Memory: the peak of the"
            " store's process over what it held before, each format by itself; sink, alerts and"
            " API are in the same process."
        ),
    ]
    return Table("export", f"Export of {rows:,} rows through the API", measured, notes)


def _measure(running: Stack, client: Client, form: Format, rows: int) -> Row:
    pid = running.pids["store"]
    time.sleep(SETTLE_S)
    idle = usage(pid).rss_mib
    forget_peak(pid)
    cpu = usage(pid).cpu_s
    begun = time.monotonic()
    done = _make(client, {"format": form})
    made_s = time.monotonic() - begun
    used = usage(pid)
    assert done["rows"] == rows, done
    begun = time.monotonic()
    _fetch(client, done)
    fetched_s = time.monotonic() - begun
    peak = usage(pid).peak_mib
    manifest = client.get(f"/exports/{done['id']}/manifest")
    client.post(f"/exports/{done['id']}/delete", {})
    say(f"  {form:8} {rows / made_s:,.0f} rows/s, +{peak - idle:,.0f} MiB")
    return {
        "format": form,
        "made, rows/s": round(rows / made_s),
        "made, s": round(made_s, 1),
        "CPU µs a row": round((used.cpu_s - cpu) / rows * 1e6, 1),
        "file, MiB": round(done["bytes"] / MIB),
        "fetched, MiB/s": round(done["bytes"] / MIB / fetched_s),
        "idle, MiB": round(idle),
        "peak above idle, MiB": round(peak - idle),
        "complete by the ledger": "yes" if manifest["complete"] else "no",
    }


def _make(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = client.post("/exports", asked)
    while shown["state"] in ("queued", "running"):
        time.sleep(POLL_S)
        shown = client.get(f"/exports/{shown['id']}")
    if shown["state"] != "done":
        raise SystemExit(f"the export is {shown['state']}: {shown['error']}")
    return shown


def _fetch(client: Client, done: dict[str, Any]) -> None:
    found = hashlib.sha256()
    with client.stream(f"/exports/{done['id']}/stream", {}) as (_, blocks):
        for block in blocks:
            found.update(block)
    if found.hexdigest() != done["sha256"]:
        raise SystemExit("what came is not what was exported")
