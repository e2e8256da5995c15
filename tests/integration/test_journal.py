"""The journal on a real broker: whole, all or nothing, and one writer at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.emit import BrokerAddress
from pipeline.groups import Groups
from pipeline.journal import Journal, JournalPlace
from pipeline.run import OutAlert
from schemas.errors import Fenced

PARTITION = 1


async def make_topics(kafka: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    compacted = {"cleanup.policy": "compact"}
    await admin.create_topics(
        [
            NewTopic(f"{name}-state", 2, 1, topic_configs=compacted),
            NewTopic(f"{name}-alerts", 2, 1),
        ]
    )
    await admin.close()


def place(kafka: str, name: str) -> JournalPlace:
    return JournalPlace(BrokerAddress(kafka), name, f"{name}-state", f"{name}-alerts")


@asynccontextmanager
async def opened(kafka: str, name: str) -> AsyncIterator[tuple[Journal, dict[bytes, bytes]]]:
    groups = Groups(1_000_000)
    journal = Journal(place(kafka, name), PARTITION)
    await journal.open(groups.load)
    try:
        yield journal, dict(groups.items())
    finally:
        await journal.close()


async def alerts_in(kafka: str, name: str) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level="read_committed")
    await consumer.start()
    found = []
    try:
        tps = [TopicPartition(f"{name}-alerts", number) for number in range(2)]
        consumer.assign(tps)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(tps)
        for tp in tps:
            while await consumer.position(tp) < ends[tp]:
                for records in (await consumer.getmany(tp, timeout_ms=100)).values():
                    found += [record.value for record in records]
    finally:
        await consumer.stop()
    return sorted(found)


async def test_next_owner_reads_what_the_last_one_wrote(kafka: str, topic_name: str) -> None:
    await make_topics(kafka, topic_name)
    async with opened(kafka, topic_name) as (journal, found):
        assert found == {}
        await journal.write({b"a": b"1", b"b": b"1"}, [OutAlert(b"id", b"alert")])
        await journal.write({b"a": None, b"c": b"1"}, [])
        await journal.write({b"b": b"2"}, [])
    async with opened(kafka, topic_name) as (_, found):
        assert found == {b"b": b"2", b"c": b"1"}
    assert await alerts_in(kafka, topic_name) == [b"alert"]


async def test_run_larger_than_a_batch_is_one_transaction(kafka: str, topic_name: str) -> None:
    await make_topics(kafka, topic_name)
    many = {b"%d" % n: b"%d" % n + bytes(2_000) for n in range(3_000)}
    async with opened(kafka, topic_name) as (journal, _):
        await journal.write(many, [OutAlert(b"%d" % n, b"%d" % n) for n in range(500)])
    async with opened(kafka, topic_name) as (_, found):
        assert found == many
    assert len(await alerts_in(kafka, topic_name)) == 500


async def test_second_owner_fences_the_first(kafka: str, topic_name: str) -> None:
    await make_topics(kafka, topic_name)
    async with opened(kafka, topic_name) as (zombie, _):
        await zombie.write({b"a": b"old"}, [])
        async with opened(kafka, topic_name) as (owner, found):
            assert found == {b"a": b"old"}
            await owner.write({b"a": b"new"}, [])
            with pytest.raises(Fenced, match="has another writer"):
                await zombie.write({b"a": b"zombie"}, [OutAlert(b"id", b"zombie")])
            await owner.write({b"b": b"still mine"}, [])
    async with opened(kafka, topic_name) as (_, found):
        assert found == {b"a": b"new", b"b": b"still mine"}
    assert await alerts_in(kafka, topic_name) == []


async def test_owner_that_died_in_a_transaction_leaves_nothing_of_it(
    kafka: str, topic_name: str
) -> None:
    await make_topics(kafka, topic_name)
    async with opened(kafka, topic_name) as (journal, _):
        await journal.write({b"a": b"whole"}, [])
    dead = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{topic_name}-{PARTITION}")
    await dead.start()
    await dead.begin_transaction()
    await dead.send_and_wait(f"{topic_name}-state", b"half", b"a", partition=PARTITION)
    await dead.send_and_wait(f"{topic_name}-alerts", b"half", b"id")
    async with asyncio.timeout(20):  # it must not wait for the transaction to time out
        async with opened(kafka, topic_name) as (_, found):
            assert found == {b"a": b"whole"}
        assert await alerts_in(kafka, topic_name) == []
    with pytest.raises(Exception, match="newer producer"):
        await dead.commit_transaction()
    await dead.stop()


async def test_journals_of_other_partitions_are_others(kafka: str, topic_name: str) -> None:
    await make_topics(kafka, topic_name)
    async with opened(kafka, topic_name) as (journal, _):
        other = Journal(place(kafka, topic_name), 0)
        found: list[bytes] = []
        await other.open(lambda key, _state: found.append(key))
        await journal.write({b"a": b"1"}, [])
        await other.write({b"b": b"1"}, [])
        await other.close()
    async with opened(kafka, topic_name) as (_, states):
        assert states == {b"a": b"1"}
    assert found == []
