"""The player: the past once and never twice, then live, whatever dies in between."""

import asyncio
from pathlib import Path

import pytest

from producers.lane import Outcome, Receipt
from producers.player import DAY_MS, Progress, load, play, save
from producers.sample import Event
from producers.sample_attacks import ATTACKS
from schemas.errors import AuditError, BrokerUnavailable, Misconfigured

pytestmark = pytest.mark.usefixtures("no_waits")
NOW_MS = 1_760_313_600_000


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.player._RETRY_S", 0.01)
    monkeypatch.setattr("producers.player._SLEEP_S_MAX", 0.0001)


class SteppingClock:
    """Goes on by `step_ms` with every look."""

    def __init__(self, step_ms: int = 0) -> None:
        self.ms = NOW_MS
        self._step_ms = step_ms

    def now_ms(self) -> int:
        self.ms += self._step_ms
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


class Taker:
    """Takes events, stops the player after `stop_after` calls; fails the first if told so."""

    def __init__(self, stop: asyncio.Event, stop_after: int, *, fails_once: bool = False) -> None:
        self.taken: list[Event] = []
        self._stop, self._calls_left, self._fails = stop, stop_after, fails_once

    async def publish_many(
        self,
        events: list[Event],
        *,
        deadline_s: float | None = None,  # noqa: ARG002 - as the real one
    ) -> list[Outcome]:
        self._calls_left -= 1
        if not self._calls_left:
            self._stop.set()
        if self._fails:
            self._fails = False
            return [BrokerUnavailable("away") for _ in events]
        self.taken += events
        return [Receipt("t", 0, 0, 0) for _ in events]


async def run(path: Path, calls: int, step_ms: int = 0) -> list[Event]:
    stop = asyncio.Event()
    taker = Taker(stop, calls)
    await play(taker, path, clock=SteppingClock(step_ms), stop=stop)
    return taker.taken


async def test_past_is_published_once_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    first = await run(path, calls=2)
    second = await run(path, calls=3)
    third = await run(path, calls=30, step_ms=200)

    ids = [event["event_id"] for event in (*first, *second, *third)]
    assert len(ids) == len(set(ids))
    past = [e for e in (*first, *second, *third) if e["event_id"].startswith("sample-7-")]
    assert 3_000 < len(past) < 12_000
    assert load(path, 7, NOW_MS).is_past_done
    assert load(path, 7, NOW_MS).start_ms == NOW_MS - 5 * DAY_MS


async def test_live_events_follow_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "sample.json"
    save(path, Progress(7, NOW_MS - DAY_MS, NOW_MS, NOW_MS))
    live = await run(path, calls=20, step_ms=100)

    assert len(live) == 20
    assert all(e["event_id"].startswith("sample-8-") for e in live)
    assert all(e["timestamp"] >= "2025-10-13T00:00:00" for e in live)


async def test_the_first_minutes_have_one_attack_of_each_kind_and_later_starts_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "sample.json"
    events = await run(path, calls=400, step_ms=200)
    again = await run(path, calls=200, step_ms=200)

    found = [event for event in events if "-opening-" in event["event_id"]]
    assert len({event["session_id"] for event in found}) == len(ATTACKS)
    assert max(event["timestamp"] for event in found) < "2025-10-13T00:03:00"
    live = [event["timestamp"] for event in events if event["event_id"].startswith("sample-8-")]
    assert live == sorted(live)
    assert not [event for event in again if "-opening-" in event["event_id"]]


async def test_broker_that_is_away_is_waited_for(tmp_path: Path) -> None:
    stop = asyncio.Event()
    taker = Taker(stop, 3, fails_once=True)
    faults: list[AuditError] = []
    await play(taker, tmp_path / "p", clock=SteppingClock(), stop=stop, on_fault=faults.append)

    assert [type(fault) for fault in faults] == [BrokerUnavailable]
    assert len({event["event_id"] for event in taker.taken}) == 1_000


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"seed":"x"}'])
def test_spoilt_progress_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sample.json"
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match="progress file"):
        load(path, 7, NOW_MS)


async def test_progress_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    stop = asyncio.Event()
    missing = tmp_path / "missing" / "sample.json"
    with pytest.raises(Misconfigured, match="can't be written"):
        await play(Taker(stop, 1), missing, clock=SteppingClock(), stop=stop)
