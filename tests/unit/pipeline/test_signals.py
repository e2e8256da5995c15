"""Signals go to their key's partition, clocks to all, after the signals that they vouch for."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.clocks import CLOCK_KEY, Clocks, decode_clocks, partition_of
from pipeline.emit import Emitter
from pipeline.run import OutRecord, OutSignal, Run
from pipeline.signals import CLOCK_MARGIN_MS, CLOCK_PERIOD_S, Origin, SignalSender
from schemas.errors import BadEvent
from tests.unit.runtime.fake_clock import FakeClock

PARTITIONS = 3


class Broker:
    """What an emitter would have written, partition by partition."""

    def __init__(self) -> None:
        self.logs: list[list[OutRecord]] = [[] for _ in range(PARTITIONS)]
        self.asked = 0

    async def count_partitions(self, _topic: str) -> int:
        self.asked += 1
        return PARTITIONS

    async def send_many(self, _topic: str, parcels: Mapping[int, Sequence[OutRecord]]) -> None:
        for number, records in parcels.items():
            self.logs[number].extend(records)

    def clocks(self, partition: int) -> list[Clocks]:
        return [decode_clocks(r.value) for r in self.logs[partition] if r.key == CLOCK_KEY]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sender(broker: Broker, time: FakeClock) -> SignalSender:
    return SignalSender(cast(Emitter, broker), Origin("one", 4), clock=time)


def run(partition: int, recorded_ms: int) -> Run:
    record: Any = SimpleNamespace(offset=7, timestamp=recorded_ms, key=None, value=b"")
    return Run("audit.events", partition, 7, [record])


async def test_signal_lies_in_the_partition_of_its_key_before_the_clock(
    sender: SignalSender, broker: Broker, time: FakeClock
) -> None:
    signals = [OutSignal(b"key%d" % n, b"value%d" % n) for n in range(20)]
    await sender.send(run(2, time.now_ms()), signals)
    await sender.tell({})
    for number, log in enumerate(broker.logs):
        assert [r.key for r in log[:-1]] == [
            s.key for s in signals if partition_of(s.key, PARTITIONS) == number
        ]
        assert log[-1].key == CLOCK_KEY
        assert broker.clocks(number) == [Clocks("one", 4, {"2": time.now_ms()})]


def test_partition_of_a_key_never_changes() -> None:
    found = [partition_of(b"rule\x1f1\x1fdefault\x1fuser%d" % n, 4) for n in range(8)]
    assert found == [1, 3, 1, 3, 0, 2, 0, 2]


async def test_clocks_of_all_sources_travel_together(
    sender: SignalSender, broker: Broker, time: FakeClock
) -> None:
    start_ms = time.now_ms()
    for step in range(3):
        await sender.send(run(0, start_ms + step), [])
        await sender.send(run(1, start_ms - step), [])  # a broker's clock may go back
    time.advance(CLOCK_PERIOD_S)
    await sender.tell({})
    assert broker.clocks(0) == [Clocks("one", 4, {"0": start_ms + 2, "1": start_ms - 2})]
    time.advance(CLOCK_PERIOD_S)
    await sender.tell({})
    assert len(broker.clocks(0)) == 1
    assert broker.asked == 1


async def test_idle_sources_tell_the_time_with_a_margin_once_a_second(
    sender: SignalSender, broker: Broker, time: FakeClock
) -> None:
    await sender.send(run(0, time.now_ms()), [])
    for _ in range(int(3 / CLOCK_PERIOD_S)):
        await sender.tell({0: time.now_ms() - 100, 1: time.now_ms() - 100})
        time.advance(CLOCK_PERIOD_S)
    first, *others = broker.clocks(2)
    assert set(first.clocks_ms) == {"0", "1"}
    assert 1 <= len(others) <= 3
    assert broker.clocks(2)[-1].clocks_ms["1"] <= time.now_ms() - CLOCK_MARGIN_MS - 100


async def test_clock_never_goes_back_nor_beyond_our_own(
    sender: SignalSender, broker: Broker, time: FakeClock
) -> None:
    await sender.send(run(0, time.now_ms() + 3_600_000), [])
    await sender.tell({})
    assert broker.clocks(0)[0].clocks_ms == {"0": time.now_ms() + CLOCK_MARGIN_MS}
    await sender.send(run(0, time.now_ms() - 3_600_000), [])
    await sender.tell({0: time.now_ms()})
    assert len(broker.clocks(0)) == 1


async def test_run_without_signals_writes_nothing(
    sender: SignalSender, broker: Broker, time: FakeClock
) -> None:
    await sender.send(run(0, time.now_ms()), [])
    assert broker.logs == [[]] * PARTITIONS
    assert broker.asked == 0


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(None, id="nothing"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"incarnation": "x", "sources": 1}', id="a member is missing"),
        pytest.param(
            b'{"incarnation": "x", "sources": 1, "clocks_ms": {"0": "1"}}', id="a text for a time"
        ),
    ],
)
def test_what_is_no_clock_is_refused(raw: bytes | None) -> None:
    with pytest.raises(BadEvent, match="clock:"):
        decode_clocks(raw)
