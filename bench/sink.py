"""The sink: the same records into the same table, ours against the loop one writes first."""

import asyncio
import re
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bench.broker import Watch, broker, make_topics, say
from bench.contenders.job import Job
from bench.load import events, fill
from bench.measure import median_ratio, usage
from bench.report import Table
from bench.stack import service, store_environment, work_folder
from bench.stage1 import Contender, contender_process
from bench.store_engine import kafka_engine
from runtime.broker import EmbeddedKafka
from runtime.ports import LOOPBACK
from schemas.topics import EVENTS, RECORDS, topic_specs

START_S: Final = 60.0
POLL_S: Final = 0.1
RATE_LEAST: Final = 500
NEARLY_ALL: Final = 0.95  # the very last batches wait for company
ROWS: Final = re.compile(r"^audit_sink_rows_total\{[^}]*\} ([0-9.e+]+)$", re.MULTILINE)
OURS: Final = "ours, exactly once"
NAIVE: Final = "getmany, client.insert, commit"
NAIVE_SINK: Final = Contender(NAIVE, "naive_sink", "none")
STAGE: Final = Contender("stage 1", "ours", "all")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: events a second, CPU an event, peak memory."""

    events_per_s: float
    cpu_us: float
    peak_mib: float


def run(*, count: int, repeats: int) -> Table:
    """Measure both in turn on `count` records that stage 1 made."""
    samples: dict[str, list[Sample]] = {OURS: [], NAIVE: []}
    with broker() as kafka:
        make_topics(kafka.bootstrap, *topic_specs())
        fill(kafka.bootstrap, EVENTS, events(count))
        _make_records(kafka, count)
        for repeat in range(repeats):
            for name, found in samples.items():
                sample = _measure(kafka, name, f"bench-{repeat}-{len(name)}", count)
                say(f"  {repeat + 1}/{repeats} {name:34} {sample.events_per_s:>9,.0f}/s")
                found.append(sample)
        engine = kafka_engine(kafka.bootstrap)
    base = [s.events_per_s for s in samples[NAIVE]]
    rows = [
        {
            "sink": name,
            "events/s": round(statistics.median(s.events_per_s for s in found)),
            "/ naive": round(median_ratio([s.events_per_s for s in found], base), 2),
            "CPU µs an event": round(statistics.median(s.cpu_us for s in found), 1),
            "peak MiB": round(max(s.peak_mib for s in found)),
        }
        for name, found in samples.items()
    ]
    notes = [
        (
            "The naive loop loses nothing but stores twice what it had not committed, and has no"
            " ledger; it fills the same table with its indexes and fsync."
        ),
        f"ClickHouse's own Kafka engine in chDB: {engine}.",
    ]
    title = f"Sink: {count:,} records of 1 kB, median of {repeats} in turn"
    return Table("sink", title, rows, notes)


def _make_records(kafka: EmbeddedKafka, count: int) -> None:
    say(f"sink: stage 1 makes {count:,} records")
    with work_folder() as folder:
        job = Job(kafka.bootstrap, EVENTS, RECORDS, "bench-stage", "all", str(folder))
        with contender_process(STAGE, job) as process:
            asyncio.run(_until_written(kafka.bootstrap, process, count))


async def _until_written(bootstrap: str, process: subprocess.Popen[bytes], count: int) -> None:
    async with Watch(bootstrap, RECORDS) as watch:
        deadline = time.monotonic() + START_S + count / RATE_LEAST
        while await watch.count() < count:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("stage 1 did not make the records")
            await asyncio.sleep(POLL_S)


def _measure(kafka: EmbeddedKafka, name: str, group: str, count: int) -> Sample:
    with work_folder() as folder:
        if name == NAIVE:
            dsn = f"chdb://{folder}/store"
            job = Job(kafka.bootstrap, RECORDS, dsn, group, "none", str(folder))
            with contender_process(NAIVE_SINK, job) as process:
                watch = _watch(process, lambda: committed(kafka.bootstrap, group), count)
                return asyncio.run(watch)
        environment = store_environment(folder, kafka.bootstrap) | {"AUDIT_SINK_GROUP": group}
        port = int(environment["AUDIT_SINK_HEALTH_PORT"])
        with service("sink", environment, folder) as process:
            return asyncio.run(_watch(process, lambda: written(port), count))


async def _watch(
    process: subprocess.Popen[bytes], look: Callable[[], Awaitable[int]], count: int
) -> Sample:
    """Time what is stored, from the first batch on, until nearly all is."""
    deadline = time.monotonic() + START_S + count / RATE_LEAST
    first, begun, before = 0, 0.0, usage(process.pid)
    while (done := await look()) < count * NEARLY_ALL:
        if done and not first:
            first, begun, before = done, time.monotonic(), usage(process.pid)
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{done:,} of {count:,} records stored")
        await asyncio.sleep(POLL_S)
    if not first:
        raise SystemExit(f"{count:,} records are too few to time it")
    took_s, after = time.monotonic() - begun, usage(process.pid)
    cpu_us = (after.cpu_s - before.cpu_s) / (done - first) * 1e6
    return Sample((done - first) / took_s, cpu_us, after.peak_mib)


async def committed(bootstrap: str, group: str) -> int:
    """Return how many records the group has committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        offsets = await admin.list_consumer_group_offsets(group)
    except KafkaError:  # the group is not there yet
        return 0
    finally:
        await admin.close()
    return sum(max(0, found.offset) for tp, found in offsets.items() if tp.topic == RECORDS)


async def written(port: int) -> int:
    """Return how many rows our sink says it has written."""
    url = f"http://{LOOPBACK}:{port}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            text = (await client.get(url)).text
        except httpx.TransportError:  # not started yet
            return 0
    return round(sum(float(rows) for rows in ROWS.findall(text)))
