"""The link: after an error nothing more goes through the producer that gave it."""

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, UnknownError
from aiokafka.producer.message_accumulator import MessageAccumulator

from producers import kafka_link
from producers.kafka_link import KafkaLink
from schemas.errors import BrokerUnavailable


class FakeSender:
    sender_task: "asyncio.Task[None] | None" = None


class FakeClient:
    async def close(self) -> None:
        pass


class FakeProducer:
    """What the link uses; `fate` is what comes of a batch, None if nothing ever does."""

    made: "list[FakeProducer]"

    def __init__(self, **_options: Any) -> None:
        self.made.append(self)
        self.fate: KafkaError | None = None
        self.is_stopped = False
        self.client, self._sender = FakeClient(), FakeSender()
        self._message_accumulator = self
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        pass

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0}

    def create_batch(self) -> object:
        return object()

    async def send_batch(self, _batch: object, _topic: str, *, partition: int) -> Any:
        assert partition == 0
        if self.fate is not None:
            self.future.set_exception(self.fate)
        return self.future

    async def stop(self) -> None:
        self.is_stopped = True
        if self.fate is None:
            await asyncio.sleep(60)

    def fail_all(self, error: KafkaError) -> None:
        self.future.set_exception(error)


@pytest.fixture
def producers(monkeypatch: pytest.MonkeyPatch) -> list[FakeProducer]:
    FakeProducer.made = []
    monkeypatch.setattr(kafka_link, "AIOKafkaProducer", FakeProducer)
    return FakeProducer.made


@pytest.mark.parametrize("fate", [UnknownError, OutOfOrderSequenceNumber])
async def test_after_an_error_the_next_batch_has_another_producer(
    producers: list[FakeProducer], fate: type[KafkaError]
) -> None:
    link = KafkaLink("h:1", "t", {})
    await link.connect()
    producers[0].fate = fate()
    with pytest.raises(BrokerUnavailable, match=fate.__name__):
        await link.send(link.new_batch(), 0)
    await link.connect()
    assert producers[0].is_stopped
    assert len(producers) == 2
    await link.connect()
    assert len(producers) == 2


async def test_who_waits_for_a_batch_of_a_producer_given_up_is_told(
    producers: list[FakeProducer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_link, "CLOSE_TIMEOUT_S", 0.01)
    link = KafkaLink("h:1", "t", {})
    await link.connect()
    sending = asyncio.create_task(link.send(link.new_batch(), 0))
    await asyncio.sleep(0)
    await link.close()
    await link.connect()
    async with asyncio.timeout(5):
        with pytest.raises(BrokerUnavailable, match="ProducerClosed"):
            await sending
    await link.connect()
    assert len(producers) == 2, "the new producer gave no error"


def test_the_client_still_fails_its_batches_as_the_link_asks_it_to() -> None:
    assert callable(MessageAccumulator.fail_all)
