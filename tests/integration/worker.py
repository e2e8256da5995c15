"""A pipeline worker on real topics, here or as a process, and what went in and came out."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.agents import Progress, Routes, Stage
from pipeline.app import GroupTimings, WorkerSettings, serve
from pipeline.run import OutAlert, Output, OutRecord, Run

PARTITIONS = 4
DEADLINE_S = 30.0
SEED = 7
TIMINGS = GroupTimings(rebalance_timeout_s=2.0, session_timeout_s=2.0, heartbeat_interval_s=0.3)
WORKER = """
import sys
from pathlib import Path
from pipeline.agents import Routes
from pipeline.app import GroupTimings, WorkerSettings, worker
from pipeline.run import Output
from tests.integration.worker import echo

def fail(run):
    raise ValueError("a bug in the stage")

bootstrap, topic, folder, stage = sys.argv[1:]
settings = WorkerSettings(
    group=topic, bootstrap=bootstrap, datadir=Path(folder),
    timings=GroupTimings(2.0, 2.0, 0.3), commit_interval_s=0.2,
)
routes = Routes(topic, topic + "-out", topic + "-alerts")
sys.exit(worker(settings, {"echo": echo, "fail": fail}[stage], routes))
"""


def echo(run: Run) -> Output:
    covered = run.position
    records = []
    for record in run.records:
        coverage = b"%d:%d" % (covered, record.offset)
        records.append(
            OutRecord(record.timestamp, record.key, record.value or b"", (("c", coverage),))
        )
        covered = record.offset + 1
    alerts = [OutAlert(b"id", r.value) for r in records if r.value == b"alarm"]
    return Output(records, alerts)


def coverage(record: ConsumerRecord) -> tuple[int, int]:
    position, origin = record.headers[0][1].split(b":")
    return int(position), int(origin)


def accepted(records: list[ConsumerRecord], expected: int = 0) -> list[ConsumerRecord]:
    """Take out the repeats as the sink does; a hole fails the test."""
    taken = []
    for record in records:
        position, origin = coverage(record)
        if origin < expected:
            continue
        assert position <= expected <= origin, f"hole: {position}..{origin} where {expected} is due"
        taken.append(record)
        expected = origin + 1
    return taken


async def make_topics(kafka: str, topic: str, bytes_max: int = 1_000_000) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    names = [topic, f"{topic}-out", f"{topic}-alerts"]
    limits = {"max.message.bytes": str(bytes_max)}
    await admin.create_topics(
        [NewTopic(name, PARTITIONS, 1, topic_configs=limits) for name in names]
    )
    await admin.close()


@asynccontextmanager
async def producing(kafka: str, **options: object) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, linger_ms=2, **options
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


class Running:
    """A worker in this process."""

    def __init__(self, kafka: str, topic: str, folder: Path, stage: Stage) -> None:
        self.stop = asyncio.Event()
        self.progress = Progress()
        settings = WorkerSettings(
            group=topic,
            bootstrap=kafka,
            datadir=folder,
            timings=TIMINGS,
            commit_interval_s=0.2,
        )
        routes = Routes(topic, f"{topic}-out", f"{topic}-alerts")
        self.task = asyncio.create_task(
            serve(settings, stage, routes, progress=self.progress, stop=self.stop)
        )

    async def finish(self) -> int:
        self.stop.set()
        return await self.task


@asynccontextmanager
async def running(
    kafka: str, topic: str, folder: Path, stage: Stage = echo
) -> AsyncIterator[Running]:
    worker = Running(kafka, topic, folder, stage)
    try:
        yield worker
    finally:
        await worker.finish()


async def collect(
    kafka: str, topic: str, is_enough: Callable[[dict[int, list[ConsumerRecord]]], bool]
) -> dict[int, list[ConsumerRecord]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed")
    await consumer.start()
    found: dict[int, list[ConsumerRecord]] = {number: [] for number in range(PARTITIONS)}
    try:
        consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        deadline = time.monotonic() + DEADLINE_S
        while not is_enough(found) and time.monotonic() < deadline:
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                found[tp.partition].extend(records)
    finally:
        await consumer.stop()
    return found


def at_least(count: int) -> Callable[[dict[int, list[ConsumerRecord]]], bool]:
    return lambda found: sum(map(len, found.values())) >= count


async def committed(kafka: str, group: str) -> dict[int, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {tp.partition: at.offset for tp, at in offsets.items() if at.offset >= 0}


def spawn(kafka: str, topic: str, folder: Path, stage: str = "echo") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, kafka, topic, str(folder), stage]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=Path(__file__).parents[2])


async def exited(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.wait_for(asyncio.to_thread(process.wait), DEADLINE_S)
