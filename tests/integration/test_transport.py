"""What the worker promises on a real broker: total, ordered, covered, acknowledged after effect."""

import asyncio
import random
import time
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from pipeline.run import Output, OutRecord, Run
from runtime.broker import EmbeddedKafka
from tests.integration.worker import (
    DEADLINE_S,
    PARTITIONS,
    SEED,
    Running,
    accepted,
    at_least,
    collect,
    committed,
    coverage,
    echo,
    make_topics,
    producing,
    running,
)


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


async def test_stop_during_the_start_is_heeded(kafka: str, topic_name: str, tmp_path: Path) -> None:
    await make_topics(kafka, topic_name)
    worker = Running(kafka, topic_name, tmp_path, echo)
    await asyncio.sleep(0)
    assert await asyncio.wait_for(worker.finish(), DEADLINE_S) == 0
