"""A raw topic that is deleted and made again under its name, while a worker reads it and not."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from detections.sigma.detector import SigmaDetector
from detections.sigma.load import load_rules
from pipeline.agents import Progress, Routes
from pipeline.app import GroupTimings, WorkerSettings, serve
from pipeline.emit import BrokerAddress, Emitter
from pipeline.enrich import Lookups
from pipeline.guard import SourceGuard
from pipeline.lookups import default_policy
from pipeline.run import Output, OutRecord, Run
from pipeline.stage import Stage
from runtime.topic_look import TopicLook
from runtime.topics import delete_topics, end_offsets, ensure_topics, topic_ids
from schemas.errors import BrokerUnavailable
from schemas.record import Coverage, decode_coverage, judge
from schemas.topics import TopicSpec
from tests.corpus import VALID

DEADLINE_S = 30.0
PARTITIONS = 2


class Worker:
    """A worker as the pipeline service makes one, on topics of the test's own."""

    def __init__(self, kafka: str, topic: str, folder: Path, incarnation: str) -> None:
        self.stop = asyncio.Event()
        self.progress = Progress()
        self.look = TopicLook(kafka)
        self.runs: list[Run] = []
        stage = Stage(
            Lookups(default_policy()), SigmaDetector(load_rules(())), lambda _topic: incarnation
        )

        def judge_run(run: Run) -> Output:
            self.runs.append(run)
            return stage(run)

        settings = WorkerSettings(
            group=topic,
            bootstrap=kafka,
            datadir=folder,
            timings=GroupTimings(2.0, 2.0, 0.3),
            commit_interval_s=0.2,
            incarnation=incarnation,
        )
        routes = Routes(topic, f"{topic}-out", f"{topic}-alerts")
        guard = SourceGuard(topic, routes.records, incarnation, self.look)
        self.task = asyncio.create_task(
            serve(settings, judge_run, routes, progress=self.progress, stop=self.stop, guard=guard)
        )

    async def end(self) -> int:
        try:
            return await asyncio.wait_for(self.task, DEADLINE_S)
        finally:
            await self.look.close()


@asynccontextmanager
async def working(kafka: str, topic: str, folder: Path) -> AsyncIterator[Worker]:
    ids = await topic_ids(kafka, [topic])
    worker = Worker(kafka, topic, folder, ids[topic])
    try:
        yield worker
    finally:
        worker.stop.set()
        await worker.end()


def source(topic: str, partitions: int = PARTITIONS) -> TopicSpec:
    return TopicSpec(topic, partitions, 1, {})


async def make(kafka: str, topic: str) -> str:
    names = [topic, f"{topic}-out", f"{topic}-alerts"]
    await ensure_topics(kafka, [source(name) for name in names])
    return (await topic_ids(kafka, [topic]))[topic]


async def make_anew(kafka: str, topic: str) -> str:
    await delete_topics(kafka, [topic])
    await ensure_topics(kafka, [source(topic)])
    return (await topic_ids(kafka, [topic]))[topic]


async def publish(kafka: str, topic: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    await producer.start()
    try:
        for number in range(count):
            await producer.send(topic, orjson.dumps(VALID), partition=number % PARTITIONS)
        await producer.flush()
    finally:
        await producer.stop()


async def taken(kafka: str, topic: str) -> dict[tuple[str, int], list[int]]:
    """Read all records as the sink judges them; a hole fails the test."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    found: dict[tuple[str, int], list[int]] = {}
    try:
        ends = await end_offsets(kafka, topic)
        consumer.assign([TopicPartition(topic, number) for number in ends])
        await consumer.seek_to_beginning()
        seen, deadline = 0, time.monotonic() + DEADLINE_S
        while seen < sum(ends.values()):
            assert time.monotonic() < deadline
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                seen += len(records)
                for record in records:
                    ((_name, header),) = record.headers
                    _take(found, tp.partition, decode_coverage(header))
    finally:
        await consumer.stop()
    return found


def _take(found: dict[tuple[str, int], list[int]], partition: int, coverage: Coverage) -> None:
    offsets = found.setdefault((coverage.incarnation, partition), [])
    verdict = judge(len(offsets), coverage.from_, coverage.origin)
    assert verdict != "hole"
    if verdict == "next":
        offsets.append(coverage.origin)


async def until_delivered(worker: Worker, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while worker.progress.records_total < count:
        assert time.monotonic() < deadline, worker.progress.records_total
        assert not worker.task.done()
        await asyncio.sleep(0.05)


def both(old: str, first: int, new: str, second: int) -> dict[tuple[str, int], list[int]]:
    return {
        (incarnation, partition): list(range(count // PARTITIONS))
        for incarnation, count in ((old, first), (new, second))
        for partition in range(PARTITIONS)
    }


@pytest.mark.parametrize("second", [60, 20])
async def test_topic_made_anew_under_a_running_worker_loses_nothing(
    kafka: str, topic_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, second: int
) -> None:
    old = await make(kafka, topic_name)
    await publish(kafka, topic_name, 40)
    async with working(kafka, topic_name, tmp_path) as worker:
        await until_delivered(worker, 40)
        new = await make_anew(kafka, topic_name)
        await publish(kafka, topic_name, second)  # 60 go past the old position, 20 not
        assert await worker.end() == 1
    assert "was made anew" in caplog.text
    async with working(kafka, topic_name, tmp_path) as worker:
        await until_delivered(worker, second)
    assert await taken(kafka, f"{topic_name}-out") == both(old, 40, new, second)


async def test_topic_made_anew_between_two_workers_is_read_from_its_start(
    kafka: str, topic_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = await make(kafka, topic_name)
    await publish(kafka, topic_name, 40)
    async with working(kafka, topic_name, tmp_path) as worker:
        await until_delivered(worker, 40)
    new = await make_anew(kafka, topic_name)
    await publish(kafka, topic_name, 60)
    group = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=topic_name, enable_auto_commit=False)
    await group.start()
    group.assign([TopicPartition(topic_name, 0)])
    await group.commit({TopicPartition(topic_name, 0): (20, old)})  # as a late commit of the old
    await group.stop()
    caplog.set_level(logging.WARNING)
    async with working(kafka, topic_name, tmp_path) as worker:
        await until_delivered(worker, 60)
    assert f"the committed offset 20 is of {old}" in caplog.text
    assert await taken(kafka, f"{topic_name}-out") == both(old, 40, new, 60)


async def test_run_of_the_new_topic_is_never_written_under_the_old_incarnation(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    old = await make(kafka, topic_name)
    new = await make_anew(kafka, topic_name)
    await publish(kafka, topic_name, 40)
    worker = Worker(kafka, topic_name, tmp_path, old)  # as one that asked just before
    assert await worker.end() == 1
    assert new != old
    assert await taken(kafka, f"{topic_name}-out") == {}


async def test_same_incarnation_goes_on_where_it_stood(
    kafka: str, topic_name: str, tmp_path: Path
) -> None:
    await make(kafka, topic_name)
    await publish(kafka, topic_name, 40)
    async with working(kafka, topic_name, tmp_path) as worker:
        await until_delivered(worker, 40)
    await publish(kafka, topic_name, 20)
    async with working(kafka, topic_name, tmp_path) as worker:
        await until_delivered(worker, 20)
    assert worker.runs
    assert all(run.position >= 20 for run in worker.runs)


async def test_events_that_grow_at_run_time_end_the_worker_by_name(
    kafka: str, topic_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await make(kafka, topic_name)
    async with working(kafka, topic_name, tmp_path) as worker:
        await publish(kafka, topic_name, 40)
        await until_delivered(worker, 40)
        await grow(kafka, topic_name, 3)
        assert await worker.end() == 1
    assert f"{topic_name} has 3 partitions, {topic_name}-out only 2: run" in caplog.text


async def test_partition_newer_than_the_producers_metadata_is_written(
    kafka: str, topic_name: str
) -> None:
    await make(kafka, topic_name)
    emitter = Emitter(BrokerAddress(kafka))
    await emitter.start()
    try:
        record = OutRecord(1, None, b"x", ())
        await emitter.send(topic_name, 0, [record])
        with pytest.raises(BrokerUnavailable, match="has no partition 2: run `audit topics`"):
            await emitter.send(topic_name, 2, [record])
        await grow(kafka, topic_name, 3)
        await emitter.send(topic_name, 2, [record])
    finally:
        await emitter.stop()
    assert await end_offsets(kafka, topic_name) == {0: 1, 1: 0, 2: 1}


async def grow(kafka: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        await admin.close()
