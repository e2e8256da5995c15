"""Searches over many rows through the REST API: the first 50 rows of each kind, again and again."""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench.broker import say
from bench.load import SEED
from bench.measure import percentile, usage
from bench.report import Row, Table
from bench.rows import fill
from bench.stack import stack, work_folder
from cli.client import Client

FIRST_ROWS: Final = 50
KNOWN_ROWS: Final = 1_000  # what the searches ask for is taken from this many stored events
KNOWN_PLACES: Final = 20  # … at so many times over the whole span

Question = Mapping[str, str | int | None]


def run(*, rows: int, repeats: int, kept: Path | None = None) -> Table:
    """Measure over `rows` rows; a store in `kept` that has them already is used again."""
    with work_folder(kept) as folder:
        say(f"search: filling {rows:,} rows")
        fill(folder, rows)
        with stack(folder, with_pipeline=False) as running:
            client = running.client()
            known = known_events(client, rows)
            asked = [_time(client, name, ask, known, repeats) for name, ask in QUESTIONS.items()]
            client.close()
            peak = usage(running.pids["store"]).peak_mib
    worst = max(float(str(row["p95 ms"])) for row in asked)
    notes = [
        (
            f"Worst p95: {worst:,.0f} ms. Each question takes its values from another stored"
            f" event of the whole span. Peak memory of the store's process: {peak:,.0f} MiB."
        ),
    ]
    title = f"Search over {rows:,} rows: first {FIRST_ROWS} rows through the API"
    return Table("search", title, asked, notes)


def known_events(client: Client, rows: int) -> list[dict[str, Any]]:
    """Return stored events from all over the span of time."""
    newest = client.get("/events", {"limit": 1, "since": "3650d"})["events"][0]
    end = datetime.fromisoformat(newest["timestamp"])
    span_s = rows // 100  # of event time
    found: list[dict[str, Any]] = []
    for place in range(KNOWN_PLACES):
        until = end - timedelta(seconds=span_s * place / KNOWN_PLACES)
        since = until - timedelta(seconds=600)
        limit = KNOWN_ROWS // KNOWN_PLACES
        asked: Question = {"since": since.isoformat(), "until": until.isoformat(), "limit": limit}
        found += client.get("/events", asked)["events"]
    return found


def _time(
    client: Client,
    name: str,
    ask: Callable[[dict[str, Any]], Question],
    known: Sequence[dict[str, Any]],
    repeats: int,
) -> Row:
    rng = random.Random(f"{SEED}{name}")
    waits_ms: list[float] = []
    counts: list[int] = []
    for _ in range(repeats):
        question = {"limit": FIRST_ROWS, "since": "3650d", **ask(_one(rng, known, name))}
        begun = time.monotonic()
        page = client.get("/events", question)
        waits_ms.append((time.monotonic() - begun) * 1000)
        counts.append(len(page["events"]))
    say(f"  {name:32} p95 {percentile(waits_ms, 0.95):,.0f} ms")
    return {
        "by": name,
        "p50 ms": round(statistics.median(waits_ms)),
        "p95 ms": round(percentile(waits_ms, 0.95)),
        "max ms": round(max(waits_ms)),
        "rows, median": round(statistics.median(counts)),
    }


def _one(rng: random.Random, known: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    wanted = name.split(",", maxsplit=1)[0].replace(" ", "_")
    having = [event for event in known if event.get(_FIELDS.get(wanted, "user"))]
    return rng.choice(having)


_FIELDS: Final = {
    "resource": "resource",
    "resource_id": "resource_id",
    "IP_address": "ip_address",
    "network": "ip_address",
    "session": "session_id",
}


def _network(event: dict[str, Any]) -> Question:
    address: str = event["ip_address"]
    if ":" in address:
        return {"ip": f"{address}/64"}
    return {"ip": ".".join(address.split(".")[:3]) + ".0/24"}


def _hour(event: dict[str, Any]) -> Question:
    end = datetime.fromisoformat(event["timestamp"])
    return {"since": (end - timedelta(hours=1)).isoformat(), "until": end.isoformat()}


QUESTIONS: Final[Mapping[str, Callable[[dict[str, Any]], Question]]] = {
    "newest, no filter": lambda _event: {},
    "user": lambda event: {"user": event["user"]},
    "user, a day that is over": lambda event: {"user": event["user"], "until": event["timestamp"]},
    "user, nobody": lambda event: {"user": f"no-{event['event_id']}"},
    "resource": lambda event: {"resource": event["resource"]},
    "resource id": lambda event: {"resource_id": event["resource_id"]},
    "IP address": lambda event: {"ip": event["ip_address"]},
    "network, /24": _network,
    "session": lambda event: {"session": event["session_id"]},
    "time, an hour": _hour,
    "action, user": lambda event: {"action": event["action"], "user": event["user"]},
}
