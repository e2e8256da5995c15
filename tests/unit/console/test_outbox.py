"""The outbox: nothing appended is lost, each event goes once and in order, and full means no."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from console.record.outbox import Bounds, Outbox, Parcel, outbox_probe
from console.state import State
from console.web.problems import Refused
from schemas.errors import AuditError, BadEvent, BrokerUnavailable


def prepare(event: Mapping[str, Any]) -> Parcel:
    if "user" not in event:
        raise BadEvent("user", "missing")
    return Parcel(orjson.dumps(event), b"default/jane")


class Broker:
    """Takes what it is sent, unless it is away."""

    def __init__(self) -> None:
        self.has: list[int] = []
        self.is_away = False
        self.takes_max = 1_000

    async def send(self, parcels: Sequence[Parcel]) -> list[AuditError | None]:
        await asyncio.sleep(0)
        taken = 0 if self.is_away else self.takes_max
        self.has += [orjson.loads(parcel.value)["n"] for parcel in parcels[:taken]]
        away = BrokerUnavailable("Kafka is away")
        return [None if place < taken else away for place in range(len(parcels))]


def event(n: int) -> dict[str, Any]:
    return {"user": "jane", "n": n}


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    opened = State(tmp_path / "console.sqlite3")
    await opened.open()
    yield opened
    await opened.close()


async def rows(state: State) -> int:
    return await state.read(lambda db: int(db.execute("SELECT count(*) FROM outbox").fetchone()[0]))


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited 20 s")


async def published(outbox: Outbox) -> None:
    """Run until nothing waits any more."""
    stop = asyncio.Event()
    running = asyncio.create_task(outbox.run(stop))
    await until(lambda: not outbox.filling.events)
    stop.set()
    await running


async def test_events_go_to_the_broker_once_and_in_the_order_they_were_appended(
    state: State,
) -> None:
    broker = Broker()
    outbox = Outbox(state, prepare, broker.send, lambda: 1_000)
    await outbox.open()

    await asyncio.gather(*(outbox.append(event(n)) for n in range(1_500)))
    await published(outbox)

    assert broker.has == list(range(1_500))
    assert await rows(state) == 0
    assert outbox.filling.published == 1_500
    assert outbox.filling.bytes == 0
    assert outbox.age_s() == 0


async def test_appends_that_come_together_share_a_commit(state: State) -> None:
    outbox = Outbox(state, prepare, Broker().send, lambda: 1_000)
    commits = 0
    write = state.write

    async def counted(work: Any) -> Any:
        nonlocal commits
        commits += 1
        return await write(work)

    state.write = counted  # type: ignore[method-assign]  # to see what it is asked
    await asyncio.gather(*(outbox.append(event(n)) for n in range(300)))

    assert await rows(state) == 300
    assert commits <= 3


async def test_what_is_appended_is_on_disk_before_the_broker_is_asked(state: State) -> None:
    outbox = Outbox(state, prepare, Broker().send, lambda: 1_000)

    await outbox.append(event(1))

    assert await rows(state) == 1


async def test_the_broker_away_keeps_events_and_takes_them_when_it_is_back(state: State) -> None:
    broker, now = Broker(), 1_000
    broker.is_away = True
    outbox = Outbox(state, prepare, broker.send, lambda: now)
    await outbox.append(event(1))
    stop = asyncio.Event()
    running = asyncio.create_task(outbox.run(stop))
    await until(lambda: bool(outbox.filling.fault))
    now = 62_000

    seen = await outbox_probe(outbox).look()
    assert not seen.is_ok
    assert seen.found == "1 events wait, the oldest for 61 s: Kafka is away"
    broker.is_away = False
    await until(lambda: not outbox.filling.events)
    stop.set()
    await running

    assert broker.has == [1]
    assert (await outbox_probe(outbox).look()).is_ok


async def test_events_that_the_broker_took_are_not_sent_again_with_those_it_did_not(
    state: State,
) -> None:
    broker = Broker()
    broker.takes_max = 2
    outbox = Outbox(state, prepare, broker.send, lambda: 1_000)
    await asyncio.gather(*(outbox.append(event(n)) for n in range(3)))

    await published(outbox)

    assert broker.has == [0, 1, 2]


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(events_max=2), id="events"),
        pytest.param(Bounds(bytes_max=2 * len(orjson.dumps(event(1)))), id="bytes"),
    ],
)
async def test_a_full_outbox_refuses_by_name_until_there_is_room(
    state: State, bounds: Bounds
) -> None:
    broker = Broker()
    outbox = Outbox(state, prepare, broker.send, lambda: 1_000, bounds)
    await outbox.append(event(1))
    await outbox.append(event(2))

    with pytest.raises(Refused) as refused:
        await outbox.append(event(3))
    assert refused.value.kind == "unrecorded"
    assert not (await outbox_probe(outbox).look()).is_ok
    await published(outbox)
    await outbox.append(event(4))

    assert broker.has == [1, 2]
    assert outbox.filling.refused == 1


async def test_what_is_no_event_is_refused_and_takes_no_room(state: State) -> None:
    outbox = Outbox(state, prepare, Broker().send, lambda: 1_000)

    with pytest.raises(Refused, match="user"):
        await outbox.append({"n": 1})

    assert outbox.filling.events == 0


async def test_who_stops_waiting_leaves_the_event_all_the_same(state: State) -> None:
    outbox = Outbox(state, prepare, Broker().send, lambda: 1_000)
    waiting = asyncio.create_task(outbox.append(event(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await outbox.append(event(2))

    assert await rows(state) == 2


async def test_a_disk_that_refuses_is_told_to_who_appends(state: State) -> None:
    outbox = Outbox(state, prepare, Broker().send, lambda: 1_000)
    await state.write(lambda db: db.execute("DROP TABLE outbox"))

    with pytest.raises(AuditError):
        await outbox.append(event(1))

    assert outbox.filling.events == 0
    assert outbox.filling.bytes == 0


async def test_the_end_sends_what_is_left(state: State) -> None:
    broker, stop = Broker(), asyncio.Event()
    outbox = Outbox(state, prepare, broker.send, lambda: 1_000)
    await outbox.append(event(1))
    stop.set()

    await outbox.run(stop)

    assert broker.has == [1]


APPENDING = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from console.record.outbox import Outbox
    from console.state import State
    from tests.unit.console.test_outbox import Broker, event, prepare

    async def main():
        state = State(Path(sys.argv[1]))
        await state.open()
        outbox = Outbox(state, prepare, Broker().send, lambda: 1000)
        for n in range(1_000_000):
            await outbox.append(event(n))
            print(n, flush=True)

    asyncio.run(main())
    """
)


def killed_while_appending(path: Path) -> list[int]:
    """Append in another process and kill it; return what it was told to be kept."""
    with subprocess.Popen(
        [sys.executable, "-c", APPENDING, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        kept = [int(process.stdout.readline()) for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        return kept + [int(line) for line in process.stdout.read().split()]


async def test_a_kill_between_append_and_publish_loses_no_event(tmp_path: Path) -> None:
    path = tmp_path / "console.sqlite3"
    kept = await asyncio.to_thread(killed_while_appending, path)
    state, broker = State(path), Broker()
    await state.open()
    outbox = Outbox(state, prepare, broker.send, lambda: 2_000)
    await outbox.open()

    await published(outbox)
    await state.close()

    assert broker.has[: len(kept)] == kept
    assert len(broker.has) <= len(kept) + 1
