"""What the worker promises on a real broker: total, ordered, covered, acknowledged after effect."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from pipeline.agents import Progress, Routes, Stage
from pipeline.app import GroupTimings, WorkerSettings, serve
from pipeline.emit import BrokerAddress, Emitter
from pipeline.run import OutAlert, Output, OutRecord, Run
from runtime.broker import EmbeddedKafka

PARTITIONS = 4
DEADLINE_S = 30.0
SEED = 7
KILLS = 3  # make chaos does more of them
TIMINGS = GroupTimings(rebalance_timeout_s=2.0, session_timeout_s=2.0, heartbeat_interval_s=0.3)

WORKER = """
import sys
from pathlib import Path
from pipeline.agents import Routes
from pipeline.app import GroupTimings, WorkerSettings, worker
from pipeline.run import Output
from tests.integration.test_transport import echo

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


async def test_every_event_comes_out_once_in_its_partition_and_order(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    sent: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
    async with producing(kafka) as producer:
        # a first run of one event at offset 0 once stopped all later commits
        await producer.send_and_wait(topic_name, b"alarm", partition=1)
        sent[1].append(b"alarm")
        async with running(kafka, topic_name, tmp_path) as worker:
            await collect(kafka, f"{topic_name}-out", at_least(1))
            for number in range(20_000):
                value = b"%d" % number
                sent[number % PARTITIONS].append(value)
                await producer.send(topic_name, value, key=b"k", partition=number % PARTITIONS)
            await producer.flush()
            found = await collect(kafka, f"{topic_name}-out", at_least(20_001))
            assert await worker.finish() == 0
    for partition, records in found.items():
        assert [record.value for record in accepted(records)] == sent[partition]
        assert len(records) == len(sent[partition])
        assert all(record.timestamp > 0 for record in records)
    alerts = await collect(kafka, f"{topic_name}-alerts", at_least(1))
    assert [r.value for records in alerts.values() for r in records] == [b"alarm"]
    assert await committed(kafka, topic_name) == {p: len(values) for p, values in sent.items()}
    assert worker.progress.events_total == 20_001


async def test_commits_reach_the_end_while_the_worker_runs(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    async with (
        producing(kafka) as producer,
        running(kafka, topic_name, tmp_path) as worker,
    ):
        deadline = time.monotonic() + DEADLINE_S
        while not worker.progress.is_joined:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        for number in range(400):  # many small runs: a commit for each would crawl for a minute
            await producer.send(topic_name, b"%d" % number, partition=number % PARTITIONS)
            await asyncio.sleep(0.002)
        await producer.flush()
        goal = dict.fromkeys(range(PARTITIONS), 100)
        while (found := await committed(kafka, topic_name)) != goal:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)
        assert worker.progress.runs_total > PARTITIONS


async def test_transaction_markers_and_aborted_events_are_covered(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    async with (
        producing(kafka, transactional_id=topic_name) as producer,
        running(kafka, topic_name, tmp_path),
    ):
        for number in range(12):
            await producer.begin_transaction()
            await producer.send_and_wait(topic_name, b"%d" % number, partition=0)
            if number % 3 == 0:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
        found = await collect(kafka, f"{topic_name}-out", at_least(8))
    taken = accepted(found[0])
    assert [record.value for record in taken] == [b"%d" % n for n in range(12) if n % 3]
    assert any(position < origin for position, origin in map(coverage, taken))


async def test_what_retention_took_is_not_covered(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    async with producing(kafka) as producer:
        for number in range(10):
            await producer.send_and_wait(topic_name, b"%d" % number, partition=0)
        async with running(kafka, topic_name, tmp_path):
            await collect(kafka, f"{topic_name}-out", at_least(10))
        for number in range(10, 30):
            await producer.send_and_wait(topic_name, b"%d" % number, partition=0)
    assert await committed(kafka, topic_name) == {0: 10}
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.delete_records({TopicPartition(topic_name, 0): RecordsToDelete(before_offset=20)})
    await admin.close()
    async with running(kafka, topic_name, tmp_path):
        found = await collect(kafka, f"{topic_name}-out", at_least(20))
    assert [coverage(record)[1] for record in found[0]] == [*range(10), *range(20, 30)]
    assert coverage(found[0][10]) == (20, 20)


async def test_log_that_ends_below_the_commit_stops_the_worker(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    async with producing(kafka) as producer:
        await producer.send_and_wait(topic_name, b"0", partition=0)
    owner = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=topic_name, enable_auto_commit=False)
    await owner.start()
    owner.assign([TopicPartition(topic_name, 0)])
    await owner.commit({TopicPartition(topic_name, 0): 1000})
    await owner.stop()
    worker = Running(kafka, topic_name, tmp_path, echo)
    assert await asyncio.wait_for(worker.task, DEADLINE_S) == 1
    assert worker.progress.events_total == 0
    assert await committed(kafka, topic_name) == {0: 1000}


async def test_output_that_is_refused_acknowledges_nothing_and_needs_the_operator(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name, bytes_max=20_000)
    chance = random.Random(SEED)

    def swell(run: Run) -> Output:
        noise = chance.randbytes(100_000)  # what no compression makes fit
        return Output([OutRecord(r.timestamp, None, noise, ()) for r in run.records], [])

    async with producing(kafka) as producer:
        await producer.send_and_wait(topic_name, b"0", partition=0)
    worker = Running(kafka, topic_name, tmp_path, swell)
    assert await asyncio.wait_for(worker.task, DEADLINE_S) == 2
    assert worker.progress.events_total == 0
    assert await committed(kafka, topic_name) == {}


async def test_broker_that_dies_is_waited_for(topic_name: str, tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka")
    broker.start()
    try:
        kafka = broker.bootstrap
        await make_topics(kafka, topic_name)
        worker = Running(kafka, topic_name, tmp_path / "faust", echo)
        async with producing(kafka) as producer:
            for number in range(100):
                await producer.send_and_wait(topic_name, b"%d" % number, partition=0)
            await collect(kafka, f"{topic_name}-out", at_least(100))
            broker.kill()
            waiting = await producer.send(topic_name, b"100", partition=0)
            broker.start()
            await waiting
            if worker.task.done():  # a crash is as good as a wait: it is restarted
                assert worker.task.result() == 1
                worker = Running(kafka, topic_name, tmp_path / "faust", echo)
            found = await collect(kafka, f"{topic_name}-out", at_least(101))
        await worker.finish()
    finally:
        broker.stop()
    assert [record.value for record in accepted(found[0])] == [b"%d" % n for n in range(101)]


async def test_progress_tells_lag_and_membership(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    async with producing(kafka) as producer:
        for number in range(10):
            await producer.send(topic_name, b"%d" % number, partition=0)
        await producer.flush()
        async with running(kafka, topic_name, tmp_path) as worker:
            await collect(kafka, f"{topic_name}-out", at_least(10))
            deadline = time.monotonic() + DEADLINE_S
            while worker.progress.lags().get((topic_name, 0)) != 0:
                assert time.monotonic() < deadline, worker.progress.lags()
                await asyncio.sleep(0.05)
            assert worker.progress.is_joined
            assert not worker.progress.is_stuck(0.0)


def spawn(kafka: str, topic: str, folder: Path, stage: str = "echo") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, kafka, topic, str(folder), stage]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=Path(__file__).parents[2])


async def exited(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.wait_for(asyncio.to_thread(process.wait), DEADLINE_S)


async def test_stage_that_raises_acknowledges_nothing_and_ends_the_process(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    async with producing(kafka) as producer:
        await producer.send_and_wait(topic_name, b"0", partition=0)
    process = spawn(kafka, topic_name, tmp_path, "fail")
    assert await exited(process) == 1
    assert await committed(kafka, topic_name) == {}


async def test_sigterm_ends_the_process_with_everything_committed(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    process = spawn(kafka, topic_name, tmp_path)
    async with producing(kafka) as producer:
        for number in range(100):
            await producer.send(topic_name, b"%d" % number, partition=0)
        await producer.flush()
        await collect(kafka, f"{topic_name}-out", at_least(100))
    process.send_signal(signal.SIGTERM)
    assert await exited(process) == 0
    assert await committed(kafka, topic_name) == {0: 100}


async def test_stop_during_the_start_is_heeded(kafka: str, topic_name: str, tmp_path: Path) -> None:
    await make_topics(kafka, topic_name)
    worker = Running(kafka, topic_name, tmp_path, echo)
    await asyncio.sleep(0)
    assert await asyncio.wait_for(worker.finish(), DEADLINE_S) == 0


async def test_killed_workers_leave_no_hole_and_nothing_twice(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make_topics(kafka, topic_name)
    chance = random.Random(SEED)
    workers = [spawn(kafka, topic_name, tmp_path / str(number)) for number in range(2)]
    sent: dict[int, list[bytes]] = {number: [] for number in range(PARTITIONS)}
    is_over = asyncio.Event()

    async def publish() -> None:
        number = 0
        async with producing(kafka) as producer:
            while not is_over.is_set():
                for _ in range(20):
                    sent[number % PARTITIONS].append(b"%d" % number)
                    await producer.send(topic_name, b"%d" % number, partition=number % PARTITIONS)
                    number += 1
                await asyncio.sleep(0.01)
            await producer.flush()

    publishing = asyncio.create_task(publish())
    try:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(2.0, 3.5))
            victim = chance.randrange(2)
            workers[victim].kill()
            await exited(workers[victim])
            workers[victim] = spawn(kafka, topic_name, tmp_path / str(victim))
        is_over.set()
        await publishing

        def is_all_there(found: dict[int, list[ConsumerRecord]]) -> bool:
            return all(
                records and coverage(records[-1])[1] >= len(sent[partition]) - 1
                for partition, records in found.items()
            )

        found = await collect(kafka, f"{topic_name}-out", is_all_there)
    finally:
        for process in workers:
            process.terminate()
            await exited(process)
    for partition, records in found.items():
        assert [record.value for record in accepted(records)] == sent[partition]


async def test_record_larger_than_a_batch_keeps_its_place(kafka: str, topic_name: str) -> None:
    await make_topics(kafka, topic_name, bytes_max=4_194_304)
    emitter = Emitter(BrokerAddress(kafka), compression=None)
    await emitter.start()
    sizes = [10, 3_900_000, 700_000, 700_000, 10, 0]
    records = [OutRecord(n + 1, None, bytes(size), ()) for n, size in enumerate(sizes)]
    try:
        await emitter.send(topic_name, 2, records)
    finally:
        await emitter.stop()
    found = await collect(kafka, topic_name, at_least(len(sizes)))
    assert [len(record.value) for record in found[2]] == sizes
    assert [record.timestamp for record in found[2]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("compression", ["lz4", "snappy"])
async def test_other_compressions_come_through(
    kafka: str, topic_name: str, compression: str
) -> None:
    await make_topics(kafka, topic_name)
    emitter = Emitter(BrokerAddress(kafka), compression=compression)
    await emitter.start()
    try:
        await emitter.send(topic_name, 0, [OutRecord(1, b"k", b"v", (("h", b"x"),))])
    finally:
        await emitter.stop()
    found = await collect(kafka, topic_name, at_least(1))
    assert found[0][0].headers == (("h", b"x"),)
