"""What is delivered was read from the topic that its records name."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from pipeline.guard import SourceGuard
from runtime.topics import TopicSeen
from schemas.errors import Broken, BrokerUnavailable


class Broker:
    """Topics, as a look at them would find them."""

    def __init__(self, topic_id: str = "old", events: int = 4, records: int = 4) -> None:
        self.topics = {
            "events": TopicSeen(topic_id, events, 1),
            "records": TopicSeen("other", records, 1),
        }
        self.looks = 0
        self.failures: list[Exception] = []
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def look(self, _names: Sequence[str]) -> Mapping[str, TopicSeen]:
        self.looks += 1
        found = dict(self.topics)
        await self.is_open.wait()
        if self.failures:
            raise self.failures.pop()
        return found


def guard_of(broker: Broker) -> SourceGuard:
    return SourceGuard("events", "records", "old", broker.look)


async def test_same_topic_is_confirmed_each_time_anew() -> None:
    broker = Broker()
    guard = guard_of(broker)
    await guard.confirm()
    broker.topics["events"] = TopicSeen("new", 4, 1)
    with pytest.raises(Broken, match="events was made anew: it is new and was old"):
        await guard.confirm()


async def test_answer_to_a_request_made_before_the_call_confirms_nothing() -> None:
    broker = Broker()
    guard = guard_of(broker)
    broker.is_open.clear()
    first = asyncio.create_task(guard.confirm())
    await asyncio.sleep(0)
    broker.topics["events"] = TopicSeen("new", 4, 1)  # a run is read from it from now on
    second = asyncio.create_task(guard.confirm())
    await asyncio.sleep(0)
    broker.is_open.set()
    await first
    with pytest.raises(Broken, match="made anew"):
        await second


async def test_calls_that_wait_share_one_request() -> None:
    broker = Broker()
    guard = guard_of(broker)
    broker.is_open.clear()
    calls = [asyncio.create_task(guard.confirm()) for _ in range(9)]
    await asyncio.sleep(0)
    broker.is_open.set()
    await asyncio.gather(*calls)
    assert broker.looks == 2


async def test_broker_that_is_away_is_waited_for() -> None:
    broker = Broker()
    broker.failures = [BrokerUnavailable("away")]
    await guard_of(broker).confirm()
    assert broker.looks == 2


@pytest.mark.parametrize("name", ["events", "records"])
async def test_topic_that_is_away_is_waited_for(name: str) -> None:
    broker = Broker()
    gone = broker.topics.pop(name)
    call = asyncio.create_task(guard_of(broker).confirm())
    done, _waiting = await asyncio.wait({call}, timeout=0.1)
    assert not done
    broker.topics[name] = gone
    await call


async def test_events_that_grew_beyond_records_end_the_worker_by_name() -> None:
    with pytest.raises(Broken, match="events has 6 partitions, records only 4: run `audit topics`"):
        await guard_of(Broker(events=6)).confirm()


async def test_watch_ends_when_the_topic_is_another() -> None:
    with pytest.raises(Broken, match="made anew"):
        await guard_of(Broker(topic_id="new")).watch()
