"""What goes on beside the stages is seen when it dies, and takes nothing with it."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from cli import pipeline_service as module
from cli.pipeline_service import WORKER, Duty, Work
from cli.rule_reload import RULES
from runtime.health import Readiness


class Service:
    """A worker of one stage that serves until told to stop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, duty: Any, reload: Any) -> None:
        self.stop = asyncio.Event()
        self.readiness = Readiness((WORKER, RULES))
        self.is_ended = False
        monkeypatch.setattr(module, "reload_rules", reload)
        parts: Any = SimpleNamespace(
            stop=self.stop, readiness=self.readiness, watch=None, address=None
        )
        work = Work(self._serve, (Duty(WORKER, lambda: duty(self)),), lambda _fresh: None)
        self.task = asyncio.create_task(module._work(parts, [work]))

    async def _serve(self) -> int:
        await self.stop.wait()
        self.is_ended = True
        return 0

    def missing(self) -> list[str]:
        return [condition.name for condition in self.readiness.unmet]


async def lives(service: Service) -> None:
    service.readiness.meet(WORKER)
    await asyncio.Event().wait()


async def dies(_service: Service) -> None:
    raise RuntimeError("a bug")


async def reloads(_watch: object, _users: object, readiness: Readiness, _emitter: object) -> None:
    readiness.meet(RULES)
    await asyncio.Event().wait()


async def reload_dies(*_: object) -> None:
    raise OSError(116, "Stale file handle")


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("duty", "reload", "missing"),
    [(lives, reloads, []), (dies, reloads, [WORKER]), (lives, reload_dies, [RULES])],
)
async def test_duty_that_dies_is_told_and_the_stage_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    duty: Any,
    reload: Any,
    missing: list[str],
) -> None:
    service = Service(monkeypatch, duty, reload)
    await settled()
    assert service.missing() == missing
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL] * len(missing)
    assert all(record.exc_info for record in caplog.records)
    assert not service.task.done()
    service.stop.set()
    await service.task
    assert service.is_ended


async def test_duties_end_with_the_stage_and_are_not_told_of_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(monkeypatch, lives, reloads)
    await settled()
    service.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service.task
    await settled()
    assert service.is_ended
    assert service.missing() == []
    assert caplog.records == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
