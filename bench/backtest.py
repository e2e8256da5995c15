"""Backtests over a filled store, through the REST API, against stage 1 on the same events."""

import time
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.broker import say
from bench.load import events
from bench.measure import usage
from bench.report import Row, Table
from bench.rows import fill
from bench.stack import stack, work_folder
from cli.client import Client
from cli.rules_backtest import DAY_MS, pages
from cli.rules_shared import load
from detections.backtest import Backtest, spell_need
from detections.sigma.detector import SigmaDetector
from pipeline.client import ClientParser
from pipeline.enrich import Lookups
from pipeline.geo import open_geo
from pipeline.lookups import default_policy
from pipeline.run import Run
from pipeline.stage import Stage
from schemas.topics import EVENTS

LIVE_EVENTS: Final = 20_000
LIVE_ROUNDS: Final = 3
RUN_EVENTS: Final = 500
PERIOD_MS: Final = 60 * DAY_MS
RULES: Final = (
    "failed-admin-login",
    "mass-export",
    "audit-switched-off",
    "password-spray",
    "grant-use-revoke",
    "new-country",
    "record-browsing",
    "user-risk",
)


@dataclass(frozen=True, slots=True)
class _Raw:
    """A raw record as stage 1 reads it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes


def run(*, rows: int, kept: Path | None = None) -> Table:
    """Measure each of `RULES` over `rows` events."""
    live = _live()
    with work_folder(kept) as folder:
        say(f"backtest: filling {rows:,} rows")
        fill(folder, rows)
        with stack(folder, with_pipeline=False) as running:
            client = running.client()
            newest = client.get("/events", {"limit": 1, "since": "3650d"})["events"][0]
            end_ms = _ms(newest["recorded"]) + DAY_MS
            pid = running.pids["store"]
            history = _History(client, pid, rows, end_ms, live)
            measured = [_measure(history, rule) for rule in RULES]
            client.close()
    notes = [
        (
            f"Live is stage 1 in this process with the rules that ship, without Kafka:"
            f" {live:,.1f} CPU µs an event. History is read through the REST API, one page after"
            f" the other; its CPU is that of both processes, over all events of the history: those"
            f" that can't matter to a rule are left out by the store. `/ live` compares CPU."
        ),
    ]
    return Table("backtest", f"Backtests over {rows:,} events of history", measured, notes)


def _ms(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def _live() -> float:
    """Return the CPU, in µs, that stage 1 with all rules needs for an event."""
    lookups = Lookups(default_policy(), open_geo(), ClientParser())
    stage = Stage(lookups, SigmaDetector(load(()).ruleset), lambda _topic: "bench")
    raws = [
        _Raw(offset, 1_760_000_000_000 + offset, key, raw)
        for offset, (raw, key) in enumerate(islice(events(LIVE_EVENTS), LIVE_EVENTS))
    ]
    rounds = []
    for _ in range(LIVE_ROUNDS):
        begun_s = time.process_time()
        for start in range(0, LIVE_EVENTS, RUN_EVENTS):
            stage(Run(EVENTS, 0, start, raws[start : start + RUN_EVENTS]))
        rounds.append((time.process_time() - begun_s) / LIVE_EVENTS * 1e6)
    return min(rounds)


class _History(NamedTuple):
    """What all rules are measured on; `live` is what the speed is compared with."""

    client: Client
    store_pid: int
    rows: int
    end_ms: int
    live: float


def _measure(history: _History, rule: str) -> Row:
    client, store_pid, rows, end_ms, live = history
    folder = load(()).folder
    test = Backtest(folder.rules, folder.exceptions, rule)
    asked: dict[str, Any] = {"needs": [spell_need(need) for need in test.needs]}
    cpu_s, begun, own_s = usage(store_pid).cpu_s, time.monotonic(), time.process_time()
    for page in pages(client, asked, (end_ms - PERIOD_MS, end_ms), lambda _reached: None):
        test.take(page["members"], page["rows"])
    test.finish(end_ms)
    seconds = time.monotonic() - begun
    spent_s = usage(store_pid).cpu_s - cpu_s + time.process_time() - own_s
    say(f"  {rule:24} {rows / seconds:,.0f} events/s")
    return {
        "rule": rule,
        "read": test.tally.events,
        "alerts": len(test.tally.alerts),
        "s": round(seconds, 2),
        "events of history/s": round(rows / seconds),
        "CPU µs an event": round(spent_s / rows * 1e6, 2),
        "/ live": round(live / (spent_s / rows * 1e6), 1),
    }
