"""The console's pages over many rows, as a browser asks for them: through HTTP, again and again."""

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from bench.broker import say
from bench.load import SEED
from bench.measure import percentile, usage
from bench.report import Row, Table
from bench.rows import fill
from bench.search import known_events
from bench.stack import Stack, stack, work_folder

ANSWER_S_MAX: Final = 60.0
KIB: Final = 1024
EVER: Final[Mapping[str, str]] = {"since": "all"}

Event = Mapping[str, Any]
Ask = Callable[[Event], tuple[str, Mapping[str, str]]]


def run(*, rows: int, repeats: int, kept: Path | None = None) -> Table:
    """Measure over `rows` rows; a store in `kept` that has them already is used again."""
    with work_folder(kept) as folder:
        say(f"pages: filling {rows:,} rows")
        fill(folder, rows)
        with stack(folder, with_pipeline=False) as running:
            client = running.client()
            known = known_events(client, rows)
            client.close()
            with _browser(running) as browser:
                asked = [_time(browser, name, ask, known, repeats) for name, ask in PAGES.items()]
            peak = usage(running.pids["store"]).peak_mib
    notes = [
        (
            "The HTML whole, rendered and through HTTP, each for another stored event of the whole"
            " span; each leaves its audit event on disk first. A page shows its first rows alone"
            " and loads histogram and facets beside them."
            f" Peak memory of the store's process: {peak:,.0f} MiB."
        )
    ]
    return Table("pages", f"Pages over {rows:,} rows", asked, notes)


def _browser(running: Stack) -> httpx.Client:
    token = running.token_file.read_text().strip()
    return httpx.Client(
        base_url=running.api_url,
        headers={"authorization": f"Bearer {token}", "accept": "text/html"},
        timeout=ANSWER_S_MAX,
        trust_env=False,
    )


def _time(browser: httpx.Client, name: str, ask: Ask, known: Sequence[Event], repeats: int) -> Row:
    rng = random.Random(f"{SEED}{name}")
    having = [event for event in known if all(event.get(field) for field in _NEEDED)]
    waits_ms: list[float] = []
    sizes: list[int] = []
    for _ in range(repeats):
        path, parameters = ask(rng.choice(having))
        begun = time.monotonic()
        answer = browser.get(path, params=dict(parameters))
        waits_ms.append((time.monotonic() - begun) * 1000)
        if answer.status_code != httpx.codes.OK:
            raise SystemExit(f"{path}: HTTP {answer.status_code}")
        sizes.append(len(answer.content))
    say(f"  {name:40} p95 {percentile(waits_ms, 0.95):,.0f} ms")
    return {
        "page": name,
        "p50 ms": round(statistics.median(waits_ms)),
        "p95 ms": round(percentile(waits_ms, 0.95)),
        "max ms": round(max(waits_ms)),
        "KiB": round(statistics.median(sizes) / KIB),
    }


_NEEDED: Final = ("user", "resource", "resource_id", "ip_address", "session_id")


def _of(path: str, field: str) -> Ask:
    return lambda event: (f"{path}/{quote(event[field], safe='')}", EVER)


def _q(path: str, query: Callable[[Event], str]) -> Ask:
    return lambda event: (path, {"q": query(event)})


def _resource(path: str) -> Ask:
    return lambda event: (
        path,
        {"resource": event["resource"], "resource_id": event["resource_id"], **EVER},
    )


PAGES: Final[Mapping[str, Ask]] = {
    "search, no filter": _q("/search", lambda _event: ""),
    "search, a user": _q("/search", lambda event: f'user:"{event["user"]}"'),
    "search, risk and not success": _q("/search", lambda _event: "risk>50 -result:success"),
    "histogram, no filter": _q("/search/histogram", lambda _event: ""),
    "histogram, a user": _q("/search/histogram", lambda event: f'user:"{event["user"]}"'),
    "facets, no filter": _q("/search/facets", lambda _event: ""),
    "facets, a user": _q("/search/facets", lambda event: f'user:"{event["user"]}"'),
    "facets, risk": _q("/search/facets", lambda _event: "risk>50"),
    "event": lambda event: (f"/events/{quote(event['event_id'], safe='')}", {}),
    "user": _of("/users", "user"),
    "address": _of("/addresses", "ip_address"),
    "session": _of("/sessions", "session_id"),
    "resource, one record": _resource("/resources"),
    "access to one record": _resource("/access"),
    "timeline around a moment": lambda event: ("/timeline", {"at": event["timestamp"]}),
    "alerts": lambda _event: ("/alerts", {}),
    "health": lambda _event: ("/health", {}),
    "report, access control": lambda _event: ("/reports/access-control", EVER),
    "report, protected records": lambda _event: ("/reports/protected-records", EVER),
}
