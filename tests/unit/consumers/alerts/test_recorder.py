"""Rows on their way into the store: alerts before deliveries; nothing is begun while it is away."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import pytest

from consumers.alerts.planning import Placed
from consumers.alerts.recorder import Recorder
from consumers.alerts.schedule import Attempt
from schemas.errors import StoreUnavailable, Unavailable
from tests.unit.consumers.alerts.making import NOW_MS, make


class Book:
    def __init__(self) -> None:
        self.is_away = False
        self.written: list[str] = []

    def store(self, placed: Sequence[Placed]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.written += ["alert"] * len(placed)

    def record(self, attempts: Sequence[Attempt]) -> None:
        self.written += [f"{row.outcome} {row.attempt}" for row in attempts]


def attempt(number: int, outcome: Any) -> Attempt:
    return Attempt(make("a").alert_id, "x", number, NOW_MS, outcome, "", NOW_MS)


async def until(is_so: Any) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.alerts.recorder.GATHER_S", 0.01)


async def test_an_alert_is_written_before_its_delivery_and_a_queue_row_that_tells_nothing_not() -> (
    None
):
    book: Any = Book()
    recorder = Recorder(book)
    await recorder.put(attempt(0, "failed"), Placed(make("a"), 0, 0))
    number = await recorder.put(attempt(1, "delivered"))
    assert recorder.waiting() == {make("a").alert_id}
    running = asyncio.create_task(recorder.run())
    await until(lambda: recorder.written == number)
    assert book.written == ["alert", "delivered 1"]
    assert recorder.waiting() == frozenset()
    running.cancel()


async def test_while_the_store_is_away_nothing_new_is_begun_and_nothing_forgotten() -> None:
    book: Any = Book()
    told: list[Unavailable | None] = []
    recorder = Recorder(book, told.append)
    book.is_away = True
    running = asyncio.create_task(recorder.run())
    number = await recorder.put(Placed(make("a"), 0, 0), attempt(1, "delivered"))
    await until(lambda: len(told) >= 2)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(recorder.reached(), 0.05)
        pytest.fail("who can't record must wait")
    assert recorder.written == 0
    book.is_away = False
    await asyncio.wait_for(recorder.reached(), 10)
    assert (recorder.written, told[-1]) == (number, None)
    assert book.written == ["alert", "delivered 1"]
    running.cancel()
