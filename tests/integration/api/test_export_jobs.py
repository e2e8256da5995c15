"""Exports at work: stopped, resumed, cancelled, failed, and held within their limits."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console.access import Principal
from console.export.desk import ExportLimits
from console.export.routes import desk_of
from runtime.clickhouse import Store
from schemas.errors import StoreUnavailable
from tests.integration.api.exporting import Office, export, filled_store, open_office


@pytest.fixture(scope="module")
def filled(store: Store) -> Iterator[Store]:
    with filled_store(store) as made:
        yield made


@pytest.fixture
async def office(filled: Store, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(filled, tmp_path) as made:
        yield made


async def test_exports_stay_as_they_are_where_no_event_can_be_kept(office: Office) -> None:
    shown, _, _ = await export(office)
    async with office.client() as client:
        waiting = (await client.post("/v1/exports", json={})).json()
        office.is_full = True
        for one, end in ((shown, "delete"), (waiting, "cancel")):
            assert (await client.post(f"/v1/exports/{one['id']}/{end}")).status_code == 503
        office.is_full = False
        assert (await client.get(f"/v1/exports/{shown['id']}")).json()["state"] == "done"
        assert (await client.get(f"/v1/exports/{shown['id']}/stream")).status_code == 200
        assert (await client.get(f"/v1/exports/{waiting['id']}")).json()["state"] == "queued"


@pytest.mark.parametrize(
    "asked",
    [{"q": "user:("}, {"columns": ["nope"]}, {"columns": ["user", "user"]}, {"format": "xlsx"}],
)
async def test_what_can_not_run_is_refused_at_once(office: Office, asked: dict[str, Any]) -> None:
    async with office.client() as client:
        answer = await client.post("/v1/exports", json=asked)
        streamed = await client.post("/v1/exports/stream", json=asked)
    assert answer.status_code == streamed.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


class Flaky:
    """A store that goes away at each question but the first, until asked enough."""

    def __init__(self, store: Store, faults: int) -> None:
        self._store = store
        self.left = faults

    def query(self, *args: Any) -> Any:
        return self._store.query(*args)

    def raw(self, *args: Any, **kwargs: Any) -> bytes:
        if self.left:
            self.left -= 1
            raise StoreUnavailable("away")
        return self._store.raw(*args, **kwargs)


async def test_a_store_that_goes_away_only_delays(office: Office, filled: Store) -> None:
    _, body, _ = await export(office)
    slow = Office(filled, office.state, office.folder, answers=Flaky(filled, 5))
    _, again, _ = await export(slow)
    slow.close()
    assert again == body


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
async def test_stopped_and_resumed_again_and_again_it_is_the_same_file(
    office: Office, form: str
) -> None:
    office.piece_bytes = 60_000
    _, body, _ = await export(office, format=form)
    async with office.client() as client:
        ordered = (await client.post("/v1/exports", json={"format": form})).json()
        stops = 0
        while await office.open():
            stop = asyncio.Event()
            job = await office.desk.show(Principal("service-token", frozenset()), ordered["id"])
            await stops_soon(office).work(job, stop)
            stops += 1
        shown = (await client.get(f"/v1/exports/{ordered['id']}")).json()
        again = (await client.get(f"/v1/exports/{ordered['id']}/stream")).content
    assert shown["state"] == "done"
    assert stops > 3
    assert again == body


def stops_soon(office: Office) -> Any:
    """A worker that is told to stop after two pieces."""
    worker = office.worker()
    pieces = iter(range(10**6))

    class Stopping(type(worker)):  # type: ignore[misc]
        __slots__ = ()

        async def give_way(self, stop: asyncio.Event) -> None:
            if next(pieces) >= 1:
                stop.set()

    return Stopping(
        worker.api,
        worker.desk,
        worker.is_too_broad,
        piece_bytes=worker.piece_bytes,
        checkpoint_ms=0,
    )


async def test_cancelled_while_waiting_or_running_it_leaves_nothing(office: Office) -> None:
    async with office.client() as client:
        waiting = (await client.post("/v1/exports", json={})).json()
        assert (await client.post(f"/v1/exports/{waiting['id']}/cancel")).json()["state"] == (
            "cancelled"
        )
        office.folder.mkdir()
        running = (await client.post("/v1/exports", json={})).json()
        who = Principal("service-token", frozenset({"analyst"}))
        stop = asyncio.Event()
        job = await office.desk.show(who, running["id"])
        await stops_soon(office).work(job, stop)
        assert (office.folder / f"{running['id']}.part").stat().st_size > 0
        told = await client.post(f"/v1/exports/{running['id']}/cancel")
        assert told.json()["state"] == "running"
        await office.work()
        shown = (await client.get(f"/v1/exports/{running['id']}")).json()
        assert shown["state"] == "cancelled"
        again = await client.post(f"/v1/exports/{running['id']}/cancel")
        assert again.status_code == 409
        assert (await client.get(f"/v1/exports/{running['id']}/stream")).status_code == 409
    assert not list(office.folder.glob(f"{running['id']}*"))
    assert [one["action"] for one in office.told].count("audit.export.cancelled") == 2


async def test_limits_of_rows_bytes_and_open_ones_are_told(office: Office, filled: Store) -> None:
    async with office.client() as client:
        for _ in range(3):
            assert (await client.post("/v1/exports", json={"q": "user:user1"})).status_code == 201
        many = await client.post("/v1/exports", json={})
        assert many.status_code == 429
        await office.work()
        used = (await client.get("/v1/exports")).json()["bytes_used"]
    assert used > 0
    small = Office(
        filled, office.state, office.folder, limits=ExportLimits(rows_max=10, bytes_max=1 << 40)
    )
    full = Office(filled, office.state, office.folder, limits=ExportLimits(bytes_max=used + 1_000))
    for made, word in ((small, "at most 10"), (full, "finished exports take")):
        async with made.client() as client:
            ordered = (await client.post("/v1/exports", json={})).json()
            await made.work()
            shown = (await client.get(f"/v1/exports/{ordered['id']}")).json()
        assert shown["state"] == "failed"
        assert word in shown["error"]
        assert not list(made.folder.glob(f"{ordered['id']}*"))
        made.close()


async def test_a_full_disk_fails_with_a_clear_word_and_leaves_no_half_file(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    written = 0

    def write(descriptor: int, body: bytes) -> int:
        nonlocal written
        written += len(body)
        if written > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, body)

    monkeypatch.setattr(os, "write", write)
    async with office.client() as client:
        ordered = (await client.post("/v1/exports", json={})).json()
        await office.work()
        shown = (await client.get(f"/v1/exports/{ordered['id']}")).json()
    assert shown["state"] == "failed"
    assert "disk is full" in shown["error"]
    assert not list(office.folder.glob(f"{ordered['id']}*"))
    assert office.told[-1]["action"] == "audit.export.failed"
    assert office.told[-1]["result"] == "failure"


class Buggy(Flaky):
    """A store whose answers make us fail as only a bug can."""

    def raw(self, *args: Any, **kwargs: Any) -> bytes:
        if self.left:
            self.left -= 1
            raise ZeroDivisionError
        return self._store.raw(*args, **kwargs)


async def test_a_bug_ends_the_export_and_not_the_service(office: Office, filled: Store) -> None:
    made = Office(filled, office.state, office.folder, answers=Buggy(filled, 1))
    async with made.client() as client:
        bad = (await client.post("/v1/exports", json={})).json()
        good = (await client.post("/v1/exports", json={"q": "user:user1"})).json()
        stop = asyncio.Event()
        guarding = asyncio.create_task(made.worker().guard(stop))
        for _ in range(1_000):
            if not await made.open():
                break
            await asyncio.sleep(0.05)
        stop.set()
        await guarding
        states = [
            (await client.get(f"/v1/exports/{one['id']}")).json()["state"] for one in (bad, good)
        ]
    made.close()
    assert sorted(states) == ["done", "failed"]  # asked for in the same millisecond


async def test_an_export_that_ends_the_process_each_time_is_given_up(office: Office) -> None:
    async with office.client() as client:
        ordered = (await client.post("/v1/exports", json={})).json()
        await office.desk.change(ordered["id"], attempts=5)
        await office.work()
        shown = (await client.get(f"/v1/exports/{ordered['id']}")).json()
    assert shown["state"] == "failed"
    assert "each time" in shown["error"]


async def test_exports_of_a_service_without_a_desk_are_refused(office: Office) -> None:
    api = replace(office.api(None), desk=None)
    with pytest.raises(StoreUnavailable):
        desk_of(api)
