"""Who owns a journal: kept over a rebalance, read anew when another had it, left when it moved."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest

from detections.stateful.keeper import Keeper
from pipeline import desks as module
from pipeline.agents import Progress
from pipeline.desks import Correlator, Desks
from pipeline.journal import Journal
from pipeline.run import OutAlert, OutSignal, Run
from pipeline.stage2 import Book, BookTerms, Rules
from pipeline.transport import Parcel
from schemas.errors import BrokerUnavailable, Fenced
from tests.unit.pipeline.test_stage2 import DAY_MS, NOW_MS, Record, ruleset, signal


class Broker:
    """Journals of partitions, each with one writer at a time, as Kafka fences them."""

    def __init__(self) -> None:
        self.states: dict[int, dict[bytes, bytes]] = {}
        self.epochs: dict[int, int] = {}
        self.alerts: list[OutAlert] = []
        self.opened = 0
        self.closed = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None


class FakeJournal:
    """As `Journal`, on that broker."""

    def __init__(self, broker: Broker, partition: int) -> None:
        self._broker = broker
        self._partition = partition
        self._epoch = 0

    async def open(self, load: Callable[[bytes, bytes | None], None]) -> int:
        broker, partition = self._broker, self._partition
        broker.opened += 1
        self._epoch = broker.epochs[partition] = broker.epochs.get(partition, 0) + 1
        await broker.gate.wait()
        if broker.failure is not None:
            raise broker.failure
        states = broker.states.setdefault(partition, {})
        for key, state in states.items():
            load(key, state)
        return len(states)

    async def write(
        self,
        states: Mapping[bytes, bytes | None],
        alerts: Sequence[OutAlert],
        _signals: Sequence[OutSignal] = (),
    ) -> None:
        await asyncio.sleep(0)
        if self._broker.epochs[self._partition] != self._epoch:
            raise Fenced("another writer")
        for key, state in states.items():
            if state is None:
                self._broker.states[self._partition].pop(key, None)
            else:
                self._broker.states[self._partition][key] = state
        self._broker.alerts += alerts

    async def close(self) -> None:
        self._broker.closed += 1


class Worker:
    """A worker's desks and agent, and the group's generation as it knows it."""

    def __init__(self, broker: Broker) -> None:
        self.app = SimpleNamespace(consumer_generation_id=1, crashed=[])
        rules = Rules(Keeper(ruleset()), "v")
        self.desks = Desks(
            lambda partition: cast(Journal, FakeJournal(broker, partition)),
            lambda _partition: Book(rules, BookTerms(1_000, DAY_MS), lambda: 0.0),
            lambda: self.app.consumer_generation_id,
        )
        self.progress = Progress()
        self.agent = Correlator(cast(faust.App, self.app), self.desks, self.progress)

    def event(self, acked: list[bool], *offsets: int, partition: int = 0) -> Any:
        """Return a run with one failure of jane at each offset, as it comes in now."""
        records = [Record(at, NOW_MS, *signal("jane", at)) for at in offsets]
        return SimpleNamespace(
            value=Parcel(Run("audit.signals", partition, offsets[0], records)),
            message=SimpleNamespace(generation_id=self.app.consumer_generation_id),
            ack=lambda: acked.append(True),
        )

    async def work(self, *offsets: int, partition: int = 0) -> bool:
        """Apply such a run; tell whether it was done."""
        acked: list[bool] = []
        event = self.event(acked, *offsets, partition=partition)
        await self.agent._finish(event)
        assert event.value.is_delivered == bool(acked)
        return bool(acked)


async def settled() -> None:
    """Let what was begun come to its end: nothing here waits for anything else."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def broker() -> Broker:
    return Broker()


async def test_partition_that_comes_back_is_not_read_again(broker: Broker) -> None:
    worker = Worker(broker)
    worker.desks.begin([0])
    assert await worker.work(0)
    worker.app.consumer_generation_id = 2
    worker.desks.begin([0])
    assert await worker.work(1, 2)
    assert broker.opened == 1
    assert len(broker.alerts) == 1


async def test_partition_that_another_had_meanwhile_is_read_anew(broker: Broker) -> None:
    one, other = Worker(broker), Worker(broker)
    assert await one.work(0)
    assert await other.work(1)
    one.app.consumer_generation_id = 2
    assert await one.work(2)
    assert len(broker.alerts) == 1  # none of the three is forgotten
    assert one.desks.fenced_total == 1
    assert broker.opened == 3


async def test_fenced_owner_whose_partition_moved_leaves_quietly(broker: Broker) -> None:
    zombie, owner = Worker(broker), Worker(broker)
    assert await zombie.work(0)
    assert await owner.work(0, 1)
    working = asyncio.create_task(zombie.work(1, 2))
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    zombie.app.consumer_generation_id = 2
    assert not await working
    assert zombie.desks.books() == {}
    assert await owner.work(2)
    assert len(broker.alerts) == 1


async def test_run_that_waited_while_its_partition_moved_takes_nothing_from_the_owner(
    broker: Broker,
) -> None:
    old, owner = Worker(broker), Worker(broker)
    acked: list[bool] = []
    broker.gate.clear()
    await old.agent._take(old.event(acked, 0))
    waiting = asyncio.create_task(old.agent._take(old.event(acked, 1)))
    await settled()
    broker.gate.set()
    old.app.consumer_generation_id = 2
    await old.desks.leave(0)
    assert await owner.work(0)
    epochs = dict(broker.epochs)
    await waiting
    await settled()
    assert broker.epochs == epochs, "the owner was fenced"
    assert not acked[1:]
    assert await owner.work(1, 2)


async def test_run_that_begins_after_its_partition_moved_opens_no_desk(broker: Broker) -> None:
    old = Worker(broker)
    acked: list[bool] = []
    await old.agent._take(old.event(acked, 0))
    old.app.consumer_generation_id = 2  # the lane has not begun yet
    await settled()
    assert (broker.opened, acked) == (0, [])


async def test_fenced_desk_is_not_opened_again_once_the_partition_moved(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, owner = Worker(broker), Worker(broker)
    assert await old.work(0)
    assert await owner.work(0, 1)
    old.app.consumer_generation_id = 2
    acked: list[bool] = []
    event, leave = old.event(acked, 1), old.desks.leave

    async def leave_late(partition: int) -> None:
        await leave(partition)
        old.app.consumer_generation_id = 3

    monkeypatch.setattr(old.desks, "leave", leave_late)
    await old.agent._finish(event)
    assert (broker.opened, acked) == (2, [])
    assert await owner.work(2)


async def test_fenced_owner_that_hears_of_no_move_ends(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOVE_S_MAX", 0.1)
    zombie, owner = Worker(broker), Worker(broker)
    assert await zombie.work(0)
    assert await owner.work(0)
    with pytest.raises(Fenced):
        await zombie.work(1)


async def test_partitions_that_went_are_let_go(broker: Broker) -> None:
    worker = Worker(broker)
    worker.desks.begin([0, 1])
    assert worker.desks.loading() == [0, 1]
    await worker.work(0, partition=1)
    worker.desks.begin([1])
    await settled()
    assert list(worker.desks.books()) == [1]
    await worker.desks.close()
    assert broker.closed == 2


async def test_partition_that_goes_while_it_is_read_is_let_go(broker: Broker) -> None:
    broker.gate.clear()
    worker = Worker(broker)
    worker.desks.begin([0])
    await asyncio.sleep(0)
    await worker.desks.leave(0)
    assert (broker.opened, broker.closed) == (1, 1)


async def test_journal_that_could_not_be_read_is_tried_again(broker: Broker) -> None:
    worker = Worker(broker)
    broker.failure = BrokerUnavailable("away")
    worker.desks.begin([0])
    await settled()
    assert worker.desks.books() == {}
    broker.failure = None
    assert await worker.work(0)
    assert broker.closed == 1


async def test_run_without_effect_writes_nothing(broker: Broker) -> None:
    worker = Worker(broker)
    assert await worker.work(0)
    broker.epochs[0] += 1  # a write would be fenced
    assert await worker.work(0)
