import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.agents import RUNS_UNDER_WAY_MAX, Carrier, Progress, Routes
from pipeline.run import Output, OutRecord, Run
from pipeline.transport import Parcel


class FakeEmitter:
    """Delivers a run when told so, by its first offset."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.outcomes: dict[int, asyncio.Future[None]] = {}

    def outcome(self, offset: int) -> asyncio.Future[None]:
        return self.outcomes.setdefault(offset, asyncio.get_running_loop().create_future())

    async def send(self, _topic: str, _partition: int, records: Sequence[OutRecord]) -> None:
        offset = records[0].timestamp_ms
        self.begun.append(offset)
        await self.outcome(offset)


class Scene:
    """A carrier among fakes; `staged` and `acked` are the runs' first offsets."""

    def __init__(self) -> None:
        self.emitter = FakeEmitter()
        self.staged: list[int] = []
        self.acked: list[int] = []
        self.crashes: list[BaseException] = []
        app: Any = SimpleNamespace(crash=self._crash)
        emitter: Any = self.emitter
        routes = Routes("events", "records", "alerts")
        self.carrier = Carrier(app, self._stage, emitter, routes, Progress())

    async def _crash(self, error: BaseException) -> None:
        self.crashes.append(error)

    def _stage(self, run: Run) -> Output:
        self.staged.append(run.position)
        return Output([OutRecord(run.position, None, b"{}", ())], [])

    async def take(self, offset: int, partition: int = 0) -> None:
        run = Run("events", partition, offset, [SimpleNamespace(offset=offset)])
        event = SimpleNamespace(value=Parcel(run), ack=lambda: self.acked.append(offset))
        await self.carrier._take(event)
        await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_stage_goes_on_while_a_delivery_is_under_way() -> None:
    scene = Scene()
    await scene.take(0)
    await scene.take(1)
    assert scene.staged == [0, 1]
    assert scene.emitter.begun == [0]
    assert scene.acked == []


async def test_runs_of_a_partition_are_delivered_one_after_the_other() -> None:
    scene = Scene()
    for offset in range(3):
        await scene.take(offset)
    for offset in range(3):
        assert scene.emitter.begun == list(range(offset + 1))
        scene.emitter.outcome(offset).set_result(None)
        await settle()
    assert scene.acked == [0, 1, 2]


async def test_partitions_do_not_wait_for_each_other() -> None:
    scene = Scene()
    await scene.take(0, partition=0)
    await scene.take(10, partition=1)
    assert scene.emitter.begun == [0, 10]


async def test_nothing_behind_a_failed_run_is_delivered_and_the_worker_crashes_once() -> None:
    scene = Scene()
    for offset in range(3):
        await scene.take(offset)
    scene.emitter.outcome(0).set_exception(ConnectionError("gone"))
    await settle()
    assert scene.emitter.begun == [0]
    assert scene.acked == []
    assert [type(error) for error in scene.crashes] == [ConnectionError]
    with pytest.raises(ConnectionError):
        await scene.take(3)
    assert scene.staged == [0, 1, 2]


async def test_runs_under_way_are_bounded() -> None:
    scene = Scene()
    for offset in range(RUNS_UNDER_WAY_MAX):
        await scene.take(offset)
    one_more = asyncio.create_task(scene.take(RUNS_UNDER_WAY_MAX))
    await settle()
    assert len(scene.staged) == RUNS_UNDER_WAY_MAX
    scene.emitter.outcome(0).set_result(None)
    await one_more
    assert len(scene.staged) == RUNS_UNDER_WAY_MAX + 1
    for offset in range(1, RUNS_UNDER_WAY_MAX + 1):
        scene.emitter.outcome(offset).set_result(None)
        await settle()
    assert scene.acked == list(range(RUNS_UNDER_WAY_MAX + 1))
