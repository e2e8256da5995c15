"""The sink on a real broker and a real engine: killed, fought over, cut off; still exactly once."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.migrate import migrate
from consumers.sink.ledger import balance, read_accounts
from runtime.clickhouse import Store
from runtime.topics import delete_topics, end_offsets, ensure_topics, topic_ids
from schemas.ledger import Ledger
from schemas.topics import TopicSpec
from tests.clickhouse_http import ClickHouseProcess, Fault
from tests.integration.sink_feed import Feed, send

PARTITIONS = 2
EVENTS = 1_500  # a partition
ROOT = Path(__file__).parent.parent.parent
WAIT_S = 40.0
COPIED = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "retention.ms": "-1",  # the records are of 2025: the broker would delete them during a test
}


class Stage:
    """A raw topic, its records, a store, and sinks as processes."""

    def __init__(self, bootstrap: str, name: str, clickhouse: ClickHouseProcess) -> None:
        self.bootstrap = bootstrap
        self.events = f"{name}-events"
        self.records = f"{name}-records"
        self.clickhouse = clickhouse
        self.store = Store(clickhouse.dsn, timeout_s=10.0)
        self.sinks: list[subprocess.Popen[bytes]] = []
        self.feed = Feed("", "")

    async def open(self) -> None:
        specs = [TopicSpec(name, PARTITIONS, 1, COPIED) for name in (self.events, self.records)]
        await ensure_topics(self.bootstrap, specs)
        self.incarnation = (await topic_ids(self.bootstrap, [self.events]))[self.events]
        self.feed = Feed(self.incarnation, self.events)
        await asyncio.to_thread(migrate, self.store)

    async def close(self) -> None:
        for sink in self.sinks:
            if sink.poll() is None:
                sink.kill()
            sink.wait()
        self.store.close()
        await delete_topics(self.bootstrap, [self.events, self.records])

    async def feed_all(self, count: int = EVENTS) -> None:
        """Write the records of raw offsets 0 to count, with repeats as workers leave them."""
        for partition in range(PARTITIONS):
            middle = count // 2
            repeated = [*range(middle), *range(max(0, middle - 100), middle), *range(middle, count)]
            await send(self.bootstrap, self.records, self.feed, partition, repeated)

    def start(self, **told: Any) -> subprocess.Popen[bytes]:
        asked = {
            "bootstrap": self.bootstrap,
            "group": f"{self.events}-sink",
            "dsn": self.clickhouse.dsn,
            "records_topic": self.records,
            "events_topic": self.events,
            **told,
        }
        module = [sys.executable, "-m", "tests.integration.sink_main", json.dumps(asked)]
        sink = subprocess.Popen(module, cwd=ROOT)
        self.sinks.append(sink)
        return sink

    async def ledger(self, ends: dict[int, int]) -> Ledger:
        accounts = await asyncio.to_thread(read_accounts, self.store, self.events)
        return balance(self.events, self.incarnation, ends, accounts)

    async def until_stored(self, count: int = EVENTS) -> Ledger:
        ends = dict.fromkeys(range(PARTITIONS), count)
        deadline = time.monotonic() + WAIT_S
        found = await self.ledger(ends)
        while time.monotonic() < deadline:
            found = await self.ledger(ends)
            if found.lag == 0:
                return found
            await asyncio.sleep(0.1)
        pytest.fail(f"not stored in time: {found}")

    async def until_dead(self, sink: subprocess.Popen[bytes]) -> int:
        async with asyncio.timeout(WAIT_S):
            while sink.poll() is None:  # noqa: ASYNC110 - a process has no event
                await asyncio.sleep(0.02)
        assert sink.returncode is not None
        return sink.returncode

    def coordinates(self, table: str) -> list[tuple[int, int]]:
        rows = self.store.query_rows(
            f"SELECT partition, offset FROM {table} "  # noqa: S608 - a constant
            "WHERE topic = {topic:String} ORDER BY ALL",
            {"topic": self.events},
        )
        return [(int(partition), int(offset)) for partition, offset in rows]

    async def assert_exactly_once(self, count: int = EVENTS) -> None:
        found = await self.until_stored(count)
        bad = self.feed.reject_every
        all_of = [(p, o) for p in range(PARTITIONS) for o in range(count)]
        assert self.coordinates("events") == [at for at in all_of if at[1] % bad != bad - 1]
        assert self.coordinates("quarantine") == [at for at in all_of if at[1] % bad == bad - 1]
        assert (found.difference, found.lag) == (0, 0)
        assert found.received == PARTITIONS * count


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    with ClickHouseProcess(tmp_path_factory.mktemp("clickhouse") / "store") as server:
        yield server


@pytest.fixture
async def stage(kafka: str, topic_name: str, clickhouse: ClickHouseProcess) -> AsyncIterator[Stage]:
    clickhouse.break_next()
    stage = Stage(kafka, topic_name, clickhouse)
    await stage.open()
    yield stage
    clickhouse.break_next()
    await stage.close()


POINTS = ("before-intent", "after-intent", "before-insert", "after-insert", "before-ack")


async def test_sink_killed_at_each_point_of_a_batch(stage: Stage) -> None:
    await stage.feed_all()
    for point in POINTS:
        killed = stage.start(kill_at=f"{point}:2", rows_max=100)
        assert await stage.until_dead(killed) == -signal.SIGKILL, point
    stage.start(sink="last")

    await stage.assert_exactly_once()


async def test_sink_killed_at_random_times(stage: Stage) -> None:
    dice = random.Random(11)
    await stage.feed_all()
    for number in range(3):
        sink = stage.start(sink=f"sink-{number}", rows_max=150)
        await asyncio.sleep(1.5 + dice.random())
        sink.kill()
        sink.wait()
    stage.start(sink="last")

    await stage.assert_exactly_once()


FAULTS = (
    ("away", Fault("refuse", "INSERT INTO events", 3)),
    ("busy", Fault("too_many", "INSERT INTO events", 2)),
    ("cut before", Fault("reset", "INSERT INTO", 3)),
    ("written, reply lost", Fault("lost_reply", "INSERT INTO", 4)),
    ("written, told of an error", Fault("lost_500", "INSERT INTO quarantine", 2)),
    ("answers after the timeout", Fault("slow", "INSERT INTO events", 1, 3.0)),
    ("writes after the timeout", Fault("late", "INSERT INTO events", 1, 3.0)),
    ("writes after the deadline", Fault("late", "INSERT INTO events", 1, 6.0)),
    ("can't be asked", Fault("lost_500", "SELECT count()", 3)),
)


async def test_store_that_misbehaves(stage: Stage) -> None:
    stage.start(insert_timeout_s=1.0, deadline_s=5)
    stored = 0
    for name, fault in FAULTS:
        stage.clickhouse.break_next(fault)
        for partition in range(PARTITIONS):
            span = range(stored, stored + 150)
            await send(stage.bootstrap, stage.records, stage.feed, partition, span)
        stored += 150
        found = await stage.until_stored(stored)
        assert (name, found.difference) == (name, 0)

    await asyncio.sleep(3.0)  # until the latest of the late requests came
    await stage.assert_exactly_once(stored)


async def test_two_sinks_fight_for_the_partitions(stage: Stage) -> None:
    await stage.feed_all()
    first = stage.start(sink="sink-1", rows_max=100)
    await asyncio.sleep(2.0)
    stage.start(sink="sink-2", rows_max=170)
    await asyncio.sleep(2.0)
    first.send_signal(signal.SIGSTOP)  # a zombie: its session ends while it sleeps
    await asyncio.sleep(4.0)
    first.send_signal(signal.SIGCONT)

    await stage.assert_exactly_once()


async def test_sink_told_to_stop_commits_and_goes_on_where_it_was(stage: Stage) -> None:
    await stage.feed_all(400)
    first = stage.start()
    await stage.until_stored(400)
    first.terminate()
    assert await stage.until_dead(first) == 0
    for partition in range(PARTITIONS):
        await send(stage.bootstrap, stage.records, stage.feed, partition, range(400, EVENTS))
    stage.start()

    await stage.assert_exactly_once()


async def test_hole_stops_its_partition_and_the_others_go_on(stage: Stage) -> None:
    await send(stage.bootstrap, stage.records, stage.feed, 0, [*range(100), *range(101, 200)])
    await send(stage.bootstrap, stage.records, stage.feed, 1, range(300))
    stage.start()
    deadline = time.monotonic() + WAIT_S
    found = await stage.ledger({0: 200, 1: 300})
    while time.monotonic() < deadline:
        found = await stage.ledger({0: 200, 1: 300})
        if (found.partitions[0].lag, found.partitions[1].lag) == (100, 0):
            break
        await asyncio.sleep(0.1)

    assert [part.lag for part in found.partitions] == [100, 0]
    assert max(o for p, o in stage.coordinates("events") if p == 0) < 100


async def test_part_of_a_batch_put_in_by_hand_stops_the_partition(stage: Stage) -> None:
    await stage.feed_all(500)
    killed = stage.start(kill_at="before-insert:1")
    await stage.until_dead(killed)
    row = stage.feed.record(0, 0)[2], stage.feed.record(1, 0)[2]
    for line in row:
        body = b'{"batch_deadline":%d,' % (int(time.time()) + 60) + line[1:]
        columns = ("batch_deadline", *json.loads(line))
        stage.store.insert_lines("events", columns, body, token=f"by hand {line[-80:]!r}")
    stage.start()
    await asyncio.sleep(4.0)
    found = await stage.ledger(await end_offsets(stage.bootstrap, stage.events))

    assert len(stage.coordinates("events")) <= 2 + 430  # only the partition without an intent
    assert any(part.stored == 0 for part in found.partitions)
