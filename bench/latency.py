"""From publish to searchable, and from publish to an alert in a webhook, at an even rate."""

import http.server
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from bench.broker import say
from bench.generator import PROBE_SESSION, Load
from bench.measure import percentile
from bench.report import Row, Table
from bench.stack import generator, stack, work_folder
from cli.client import Client
from runtime.ports import LOOPBACK

POLL_S: Final = 0.2  # quicker, the questions themselves would be the load
PROBES_PER_S: Final = 10
ALERTS_PER_S: Final = 5
WARM_UP_S: Final = 5  # of load before it counts: the first events meet cold processes
SETTLE_S: Final = 30.0
ALERT_SENT: Final = re.compile(rb"bench-(\d{9,20})")


@dataclass(frozen=True, slots=True)
class Latencies:
    """What was measured, in ms: until searchable, until alerted, until the broker had it."""

    searchable: Sequence[float]
    alerted: Sequence[float]
    published: Sequence[float]
    missing: int


def run(*, seconds: int, rate: int) -> Table:
    """Measure at `rate` events a second."""
    with work_folder() as folder:
        found = measure(folder, seconds=seconds, rate=rate)
    rows = [
        row("publish → the broker has it", found.published),
        row("publish → searchable through the API", found.searchable),
        row("publish → alert in a local webhook", found.alerted),
    ]
    notes = [
        (
            f"Searchable is looked for every {POLL_S * 1000:g} ms through the REST API, which is"
            f" part of it. {found.missing} probes or alerts never came."
        )
    ]
    title = f"Latency at {rate:,} events/s for {seconds} s, all on the same cores"
    return Table("latency", title, rows, notes)


def row(name: str, values: Sequence[float]) -> Row:
    """Return percentiles of one measure."""
    if not values:
        return {"what": name, "p50 ms": None, "p99 ms": None, "max ms": None, "samples": 0}
    return {
        "what": name,
        "p50 ms": round(percentile(values, 0.5)),
        "p99 ms": round(percentile(values, 0.99)),
        "max ms": round(max(values)),
        "samples": len(values),
    }


def measure(
    folder: Path, *, seconds: int, rate: int, size_bytes: int = 1_000, partitions: int = 4
) -> Latencies:
    """Run the path on the store in `folder` under an even load, and look from outside."""
    run_s = WARM_UP_S + seconds
    count, probes, alerts = run_s * rate, run_s * PROBES_PER_S, run_s * ALERTS_PER_S
    with webhook() as hook:
        target = f"hook=webhook://{LOOPBACK}:{hook.port}/"
        with stack(folder, partitions=partitions, targets=target) as running:
            load = Load(
                running.bootstrap,
                count,
                rate,
                size_bytes,
                probe_every=rate // PROBES_PER_S,
                alert_every=rate // ALERTS_PER_S,
            )
            with generator(load) as source, _client(running.client()) as client:
                source.begin()
                seen = _look(client, probes, run_s + SETTLE_S)
                result = source.result()
                hook.wait(alerts, SETTLE_S)
    missing = probes - len(seen) + alerts - len(hook.waits_ms)
    say(f"  latency: {len(seen)} probes, {len(hook.waits_ms)} alerts, {missing} missing")
    return Latencies(
        seen[WARM_UP_S * PROBES_PER_S :],
        hook.waits_ms[WARM_UP_S * ALERTS_PER_S :],
        result["waits_ms"],
        missing,
    )


@contextmanager
def _client(client: Client) -> Iterator[Client]:
    try:
        yield client
    finally:
        client.close()


def _look(client: Client, wanted: int, timeout_s: float) -> list[float]:
    """Ask for the probes until all were seen; return each one's time until then, in order."""
    waits: dict[int, float] = {}
    whole = 0  # all probes below this number were seen
    since: str | None = None
    deadline = time.monotonic() + timeout_s
    while len(waits) < wanted and time.monotonic() < deadline:
        page = client.get("/events", {"session": PROBE_SESSION, "since": since, "limit": 1_000})
        seen = time.monotonic_ns()
        for event in page["events"]:
            _, number, sent = event["event_id"].split("-")
            waits.setdefault(int(number), (seen - int(sent)) / 1e6)
            if int(number) == whole:
                since = _before(event["timestamp"])
        while whole in waits:
            whole += 1
        time.sleep(POLL_S)
    return [waits[number] for number in sorted(waits)]


def _before(timestamp: str) -> str:
    # probes of different partitions come out of order by less than this
    moment = datetime.fromisoformat(timestamp) - timedelta(seconds=1)
    return moment.isoformat()


class Hook:
    """A webhook that notes how long ago each alert's event was sent."""

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self.waits_ms: list[float] = []

    def take(self, body: bytes) -> None:
        """Note one alert."""
        now = time.monotonic_ns()
        sent = ALERT_SENT.search(body)
        if sent:
            self.waits_ms.append((now - int(sent[1])) / 1e6)

    def wait(self, count: int, timeout_s: float) -> None:
        """Return when `count` alerts came or the time is over."""
        deadline = time.monotonic() + timeout_s
        while len(self.waits_ms) < count and time.monotonic() < deadline:
            time.sleep(POLL_S)


@contextmanager
def webhook() -> Iterator[Hook]:
    """Serve a webhook on a free port in a thread."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            hook.take(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
    hook = Hook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
