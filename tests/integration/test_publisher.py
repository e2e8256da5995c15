"""The publisher against a real broker: order, deadlines, back-pressure, restarts."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from producers import Publisher, Receipt, SyncPublisher
from runtime.broker import EmbeddedKafka
from runtime.ports import free_port
from runtime.topics import end_offsets, ensure_topics
from schemas.errors import BadEvent, BrokerUnavailable, Misconfigured
from schemas.event import decode
from schemas.topics import TopicSpec

EVENT = {
    "timestamp": "2025-10-11T14:23:15Z",
    "user": "jane.doe@company.com",
    "action": "authentication.login.success",
}


def event(number: int, user: str = "jane") -> dict[str, Any]:
    return EVENT | {"user": user, "event_id": f"e{number}"}


async def make_topic(bootstrap: str, name: str, partitions: int = 2) -> str:
    config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "2097152"}
    await ensure_topics(bootstrap, [TopicSpec(name, partitions, 1, config)])
    return name


@pytest.fixture
async def topic(kafka: str, topic_name: str) -> str:
    return await make_topic(kafka, topic_name)


@pytest.fixture
async def publisher(kafka: str, topic: str) -> AsyncIterator[Publisher]:
    async with Publisher(kafka, topic=topic) as made:
        yield made


async def read_all(bootstrap: str, topic: str) -> dict[tuple[int, int], bytes | None]:
    """Return every value on the topic by partition and offset."""
    ends = await end_offsets(bootstrap, topic)
    found: dict[tuple[int, int], bytes | None] = {}
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        wanted = {TopicPartition(topic, p): end for p, end in ends.items() if end}
        consumer.assign(list(wanted))
        await consumer.seek_to_beginning()
        async with asyncio.timeout(30):
            while wanted and any([await consumer.position(tp) < wanted[tp] for tp in wanted]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found |= {(r.partition, r.offset): r.value for r in records}
    finally:
        await consumer.stop()
    return found


async def test_receipt_names_the_place_where_the_event_lies(
    kafka: str, topic: str, publisher: Publisher
) -> None:
    receipt = await publisher.publish(EVENT)

    assert receipt is not None
    assert receipt.timestamp > 0
    stored = await read_all(kafka, topic)
    value = stored[receipt.partition, receipt.offset]
    assert value is not None
    fields = decode(value)
    assert {name: fields[name] for name in EVENT} == EVENT
    assert len(fields["event_id"]) == 36


async def test_secrets_never_reach_the_broker(kafka: str, topic: str, publisher: Publisher) -> None:
    await publisher.publish(EVENT | {"details": {"password": "hunter2"}, "reason": "pin=123456"})

    [value] = (await read_all(kafka, topic)).values()
    assert value is not None
    assert b"hunter2" not in value
    assert b"123456" not in value


async def test_bytes_are_published_as_they_are(
    kafka: str, topic: str, publisher: Publisher
) -> None:
    raw = b' {"not": "an event", \xff "password":"x"}'
    receipt = await publisher.publish_bytes(raw)

    assert receipt is not None
    assert (await read_all(kafka, topic))[receipt.partition, receipt.offset] == raw


async def test_many_events_keep_the_order_of_each_user(
    kafka: str, topic: str, publisher: Publisher
) -> None:
    events = [event(number, f"user{number % 7}") for number in range(5_000)]
    outcomes = await publisher.publish_many(events)

    places = [(o.partition, o.offset) for o in outcomes if isinstance(o, Receipt)]
    assert len(set(places)) == len(events)
    stored = await read_all(kafka, topic)
    for sent, place in zip(events, places, strict=True):
        assert orjson.loads(stored[place] or b"")["event_id"] == sent["event_id"]
    for user in range(7):
        mine = places[user::7]
        assert mine == sorted(mine)


async def test_bad_event_among_many_is_refused_alone(publisher: Publisher) -> None:
    outcomes = await publisher.publish_many([event(1), {"user": "x"}, event(2)])

    assert [type(outcome) for outcome in outcomes] == [Receipt, BadEvent, Receipt]
    assert (publisher.counters.published, publisher.counters.refused) == (2, 1)


async def test_message_larger_than_the_broker_takes_is_refused(publisher: Publisher) -> None:
    with pytest.raises(BadEvent, match="message:too_large"):
        await publisher.publish_bytes(b"x" * 2_097_152)
    assert await publisher.publish_bytes(os.urandom(1_900_000), b"k") is not None


async def test_event_after_one_that_the_broker_refused_arrives(kafka: str, topic_name: str) -> None:
    small = {"max.message.bytes": "20000"}
    await ensure_topics(kafka, [TopicSpec(topic_name, 1, 1, small)])
    async with Publisher(kafka, topic=topic_name) as publisher:
        await publisher.publish_bytes(b"before")
        with pytest.raises(BadEvent, match="message:too_large"):
            await publisher.publish_bytes(os.urandom(60_000))
        await publisher.publish_bytes(b"after")
    assert list((await read_all(kafka, topic_name)).values()) == [b"before", b"after"]


async def test_best_effort_event_arrives_without_waiting(
    kafka: str, topic: str, publisher: Publisher
) -> None:
    assert await publisher.publish(event(1), must_log=False) is None
    await publisher.close()

    assert len(await read_all(kafka, topic)) == 1
    assert publisher.counters.dropped == 0


async def test_close_delivers_what_is_buffered(kafka: str, topic: str) -> None:
    publisher = Publisher(kafka, topic=topic)
    waiting = [asyncio.create_task(publisher.publish(event(n))) for n in range(500)]
    await asyncio.sleep(0)
    await publisher.close()

    assert len(await asyncio.gather(*waiting)) == 500
    with pytest.raises(Misconfigured, match="closed"):
        await publisher.publish(event(1))


async def test_must_log_event_without_a_broker_raises_within_its_deadline() -> None:
    port = free_port()
    async with Publisher(f"127.0.0.1:{port}", topic="t") as publisher:
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="not sent"):
            await publisher.publish(EVENT, deadline_s=0.5)
        assert time.monotonic() - began < 10  # far less than any client timeout
        assert await publisher.publish(EVENT, must_log=False) is None
        assert publisher.counters.failed == 1
        await publisher.close(timeout_s=0.1)
        assert publisher.counters.dropped == 1


async def test_full_buffer_drops_best_effort_and_makes_must_log_wait() -> None:
    port = free_port()
    drops: list[int] = []
    async with Publisher(
        f"127.0.0.1:{port}", topic="t", buffer_events_max=10, on_drop=drops.append
    ) as publisher:
        for number in range(8):
            await publisher.publish(event(number), must_log=False)
        assert drops == [1, 1, 1]  # half of the buffer is for events that must be logged
        outcomes = await asyncio.gather(
            *(publisher.publish(event(n), deadline_s=0.3) for n in range(20)),
            return_exceptions=True,
        )
        assert all(isinstance(outcome, BrokerUnavailable) for outcome in outcomes)
        assert {"buffer stayed full" in str(outcome) for outcome in outcomes} == {True, False}
        await publisher.close(timeout_s=0.1)


async def test_abandoned_events_leave_room_for_new_ones(kafka: str, topic: str) -> None:
    async with Publisher(kafka, topic=topic, buffer_events_max=50) as publisher:
        gone = await asyncio.gather(
            *(publisher.publish(event(n), deadline_s=0.0) for n in range(50)),
            return_exceptions=True,
        )
        assert any(isinstance(outcome, BrokerUnavailable) for outcome in gone)
        outcomes = await publisher.publish_many([event(n) for n in range(200)])
        assert all(isinstance(outcome, Receipt) for outcome in outcomes)


def test_publisher_without_asyncio_does_the_same(kafka: str, topic_name: str) -> None:
    asyncio.run(make_topic(kafka, topic_name))
    with SyncPublisher(kafka, topic=topic_name) as publisher:
        assert publisher.publish(EVENT) is not None
        outcomes = publisher.publish_many(event(n) for n in range(100))
        assert all(isinstance(outcome, Receipt) for outcome in outcomes)
        with pytest.raises(BadEvent, match="timestamp:missing"):
            publisher.publish({"user": "x", "action": "a.b"})
        assert publisher.counters.published == 101

    with pytest.raises(Misconfigured, match="closed"):
        publisher.publish(EVENT)


def test_publisher_made_before_a_fork_refuses_to_work_after_it(kafka: str, topic_name: str) -> None:
    code = f"""
import asyncio, os, sys
from producers import SyncPublisher
from schemas.errors import Misconfigured
publisher = SyncPublisher({kafka!r}, topic={topic_name!r})
child = os.fork()
if child == 0:
    try:
        publisher.publish({EVENT!r})
    except Misconfigured as error:
        os._exit(7 if "fork" in str(error) else 1)
    os._exit(1)
_, status = os.waitpid(child, 0)
publisher.close()
sys.exit(os.waitstatus_to_exitcode(status))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=60, check=False)
    assert done.returncode == 7


@pytest.fixture
def own_broker() -> Iterator[EmbeddedKafka]:
    folder = Path(tempfile.mkdtemp(prefix="audit-publisher-"))
    broker = EmbeddedKafka(folder)
    broker.start()
    yield broker
    broker.stop()
    shutil.rmtree(folder, ignore_errors=True)


async def grown_by(receipts: dict[str, Receipt], count: int) -> None:
    goal = len(receipts) + count
    async with asyncio.timeout(60):
        while len(receipts) < goal:  # noqa: ASYNC110 - a poll with a deadline
            await asyncio.sleep(0.02)


async def test_acknowledged_events_are_there_once_after_kafka_is_killed(
    own_broker: EmbeddedKafka,
) -> None:
    bootstrap = own_broker.bootstrap
    topic = await make_topic(bootstrap, "survives")
    receipts: dict[str, Receipt] = {}
    is_over = asyncio.Event()

    async def keep_publishing(writer: int, publisher: Publisher) -> None:
        number = 0
        while not is_over.is_set():
            batch = [event(number + i, f"user{writer}") for i in range(50)]
            for each in batch:
                each["event_id"] = f"{writer}-{each['event_id']}"
            outcomes = await publisher.publish_many(batch, deadline_s=60)
            for sent, outcome in zip(batch, outcomes, strict=True):
                assert isinstance(outcome, Receipt), outcome
                receipts[sent["event_id"]] = outcome
            number += 50
            await asyncio.sleep(0.005)

    async with Publisher(bootstrap, topic=topic) as publisher:
        writers = [asyncio.create_task(keep_publishing(w, publisher)) for w in range(4)]
        for _ in range(2):
            await grown_by(receipts, 1_000)
            own_broker.kill()
            await asyncio.sleep(0.3)
            own_broker.start()
        await grown_by(receipts, 1_000)
        is_over.set()
        await asyncio.gather(*writers)

    stored = await read_all(bootstrap, topic)
    ids = [orjson.loads(value or b"")["event_id"] for value in stored.values()]
    assert len(ids) == len(set(ids)) == len(receipts)
    for event_id, receipt in receipts.items():
        if receipt.offset >= 0:
            value = stored[receipt.partition, receipt.offset]
            assert orjson.loads(value or b"")["event_id"] == event_id
