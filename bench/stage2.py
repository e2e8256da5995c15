"""Stage 2 alone, on real Kafka: signals a second, memory of many groups, and restart to live."""

import asyncio
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.broker import broker, say
from bench.report import Row, Table
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile
from detections.stateful.keeper import Keeper
from pipeline.app import WorkerSettings
from pipeline.clocks import partition_of
from pipeline.emit import BrokerAddress, Emitter
from pipeline.run import OutRecord
from pipeline.stage2 import Book, BookTerms, Rules
from pipeline.stage2_app import Stage2Worker
from runtime.topics import ensure_topics
from schemas.signal import Signal, encode, key_of
from schemas.topics import SIGNALS, topic_specs

PARTITIONS: Final = 4
BATCH: Final = 20_000
POLL_S: Final = 0.02
MIB: Final = 1 << 20
NOTE: Final = (
    "From the start of the process to the last signal applied, reading the journal, one Kafka"
    " transaction a run and the alerts included; a signal holds one entry. `restart to live` is a"
    " new process that reads the whole journal."
)
RULES: Final = """
title: Failed login
id: 00000000-0000-4000-8000-000000000001
name: login-failed
logsource: {product: dutycall}
detection:
  selection: {action: authentication.login.failure}
  condition: selection
---
title: Many failed logins
id: 00000000-0000-4000-8000-000000000002
name: many-failures
correlation:
  type: event_count
  rules: [login-failed]
  group-by: [user]
  timespan: 10m
  condition: {gte: 10}
level: high
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One run of stage 2: how much in how long, and what it took."""

    signals: int
    groups: int
    seconds: float
    cpu_s: float
    rss_mib: float


async def fill(bootstrap: str, signals: int, groups: int, first_offset: int) -> None:
    """Write signals of one entry each, over all groups in turn."""
    emitter = Emitter(BrokerAddress(bootstrap))
    await emitter.start()
    now_ms = time.time_ns() // 1_000_000
    try:
        for start in range(0, signals, BATCH):
            parcels: dict[int, list[OutRecord]] = {}
            for number in range(start, min(start + BATCH, signals)):
                user = f"user{number % groups}@company.com"
                who = (f"event-{number}", user, "authentication.login.failure", "", "", "")
                # a group's events lie apart, so that few of them make an alert
                at_ms = now_ms - (number // groups) * 200_000
                entry = (first_offset + number, at_ms, at_ms + 5, 0, None, who)
                signal = Signal("many-failures", 1, "default", (user,), "incarnation", 0, [entry])
                key = key_of(signal)
                record = OutRecord(now_ms, key, encode(signal), ())
                parcels.setdefault(partition_of(key, PARTITIONS), []).append(record)
            await emitter.send_many(SIGNALS, parcels)
    finally:
        await emitter.stop()


async def apply(bootstrap: str, folder: Path, groups: int, signals: int) -> Result:
    """Run a worker until it has applied so many signals and has read its journals whole."""
    ruleset = load_rules([RuleFile("bench.yml", RULES)])
    rules = Rules(Keeper(ruleset), ruleset.version)
    terms = BookTerms(groups_max=2 * groups, historical_ms_min=86_400_000)
    settings = WorkerSettings("bench-stage-2", bootstrap, folder)
    worker = Stage2Worker(settings, lambda _partition: Book(rules, terms, time.monotonic))
    stop, process = asyncio.Event(), psutil.Process()
    began, cpu = time.monotonic(), time.process_time()
    serving = asyncio.create_task(worker.serve(stop))
    while len(worker.desks.load_s) < PARTITIONS or rules.tally.signals < signals:
        if serving.done():
            raise SystemExit(f"stage 2 ended with {serving.result()}")
        await asyncio.sleep(POLL_S)
    took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
    known = sum(len(book.groups) for book in worker.desks.books().values())
    rss_mib = process.memory_info().rss / MIB
    lags = worker.progress.lags()
    while any(lags.values()) and not serving.done():
        await asyncio.sleep(POLL_S)
        lags = worker.progress.lags()
    stop.set()
    await serving
    return Result(signals, known, took_s, cpu_s, rss_mib)


def child(bootstrap: str, folder: str, groups: str, signals: str) -> None:
    """Apply in a process of its own, so that memory is only its own."""
    result = asyncio.run(apply(bootstrap, Path(folder), int(groups), int(signals)))
    print(json.dumps(asdict(result)))


def run(*, signals: int, groups: int) -> Table:
    """Fill, apply, and take over again with everything in the journal."""
    with broker() as kafka:
        results = asyncio.run(_measure(kafka.bootstrap, groups, signals))
    rows: list[Row] = [
        {
            "what": name,
            "signals": result.signals,
            "groups": result.groups,
            "seconds": round(result.seconds, 1),
            "signals/s": round(result.signals / result.seconds),
            "CPU µs a signal": round(result.cpu_s / result.signals * 1e6, 1)
            if result.signals
            else "",
            "MiB": round(result.rss_mib),
        }
        for name, result in results.items()
    ]
    title = f"Stage 2: {signals:,} signals of {groups:,} groups, one worker on real Kafka"
    return Table("stage2", title, rows, [NOTE])


async def _measure(bootstrap: str, groups: int, signals: int) -> dict[str, Result]:
    await ensure_topics(bootstrap, topic_specs(partitions=PARTITIONS))
    results = {}
    with tempfile.TemporaryDirectory(prefix="audit-bench-") as folder:
        say(f"stage 2: writing {signals} signals of {groups} groups")
        await fill(bootstrap, signals, groups, 0)
        for name, count in (("apply", signals), ("restart to live", 0)):
            words = [bootstrap, folder, str(groups), str(count)]
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bench.stage2", *words, stdout=asyncio.subprocess.PIPE
            )
            told, _ = await process.communicate()
            results[name] = Result(**json.loads(told))
    return results


if __name__ == "__main__":
    child(*sys.argv[1:])
