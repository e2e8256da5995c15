"""The worker as a process: how it ends, and that kills leave no hole and nothing twice."""

import asyncio
import random
import signal
from pathlib import Path

from aiokafka import ConsumerRecord

from tests.integration.worker import (
    PARTITIONS,
    SEED,
    accepted,
    at_least,
    collect,
    committed,
    coverage,
    exited,
    make_topics,
    producing,
    spawn,
)

KILLS = 3  # make chaos does more of them


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
