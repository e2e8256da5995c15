"""Which rows an export has, and what its manifest says of them."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import orjson
import pytest

from console.access import Principal
from console.export import plan
from runtime.clickhouse import Store
from tests.integration.api.exporting import (
    END,
    EXPORTED,
    TENANT,
    Office,
    export,
    filled_store,
    open_office,
    stored_rows,
)
from tests.integration.api.stored import event, put


@pytest.fixture(scope="module")
def filled(store: Store) -> Iterator[Store]:
    with filled_store(store) as made:
        yield made


@pytest.fixture
async def office(filled: Store, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(filled, tmp_path) as made:
        yield made


async def test_manifest_counts_what_the_ledger_has_and_is_hashed_into_the_record(
    office: Office,
) -> None:
    shown, body, manifest = await export(office)
    assert manifest["sha256"] == hashlib.sha256(body).hexdigest() == shown["sha256"]
    assert manifest["bytes"] == len(body)
    assert manifest["complete"] is True
    assert manifest["left_out"] == {"canaries": 3, "reads": 4}
    assert manifest["rows"] + 7 == manifest["ledger_rows"]
    assert sum(one["ledger_rows"] for one in manifest["partitions"]) == manifest["ledger_rows"]
    assert sum(one["rows"] for one in manifest["partitions"]) == manifest["rows"]
    assert {one["next_offset"] for one in manifest["partitions"]} == {5000}
    assert manifest["by"] == "service-token"
    text = office.desk.folder.joinpath(f"{shown['id']}.manifest.json").read_bytes()
    completed = [one for one in office.told if one["action"] == "audit.export.completed"]
    assert completed[-1]["details"]["manifest_sha256"] == hashlib.sha256(text).hexdigest()
    assert completed[-1]["details"]["record_count"] == manifest["rows"]
    assert office.told[0]["action"] == "audit.export.started"


async def test_a_lost_row_of_the_ledger_is_not_called_complete(
    office: Office, filled: Store
) -> None:
    before = (await export(office))[2]
    extra = event(3999, user="not-in-any-book", timestamp="2025-10-11T13:00:00Z")
    put(filled, [extra], "extra")
    try:
        after = (await export(office))[2]
    finally:
        filled.command("ALTER TABLE events DELETE WHERE offset = 3999 SETTINGS mutations_sync = 2")
    assert before["complete"] is True
    assert after["complete"] is False
    assert after["rows"] == before["rows"] + 1


async def test_export_has_the_rows_of_a_search_and_no_others(office: Office) -> None:
    asked = {"q": "user:user* details.n>10", "since": "2025-10-01", "until": "2025-10-09"}
    _, body, manifest = await export(office, **asked)
    found = {orjson.loads(line)["offset"] for line in body.split(b"\n")[:-1]}
    async with office.client() as client:
        page = (await client.get("/v1/events", params={**asked, "limit": 5000})).json()
    assert found == {one["offset"] for one in page["events"]}
    assert len(found) == 589
    assert manifest["complete"] is False
    assert manifest["since"] == "2025-10-01"


async def test_what_is_in_flight_or_replayed_later_is_not_in_it(
    office: Office, filled: Store
) -> None:
    async with office.client() as client:
        ordered = (await client.post("/v1/exports", json={})).json()
        worker = office.worker()
        job = await office.desk.show(Principal("service-token", frozenset()), ordered["id"])
        job, _ = await worker._begin(job)
        late = event(77, user="replayed-late", replayed=1, timestamp="2025-10-02T00:00:00Z")
        row = {**orjson.loads(late), "replayed": 1}
        put(filled, [orjson.dumps(row)], "late")
        try:
            await office.work()
        finally:
            filled.command(
                "ALTER TABLE events DELETE WHERE user = 'replayed-late' SETTINGS mutations_sync = 2"
            )
        body = (await client.get(f"/v1/exports/{job.id}/stream")).content
    assert b"replayed-late" not in body
    assert b"in-flight" not in body
    assert b'"moved"' in body


async def test_one_tenant_gets_its_own_rows_and_its_own_ledger(office: Office) -> None:
    async with office.client(TENANT) as client:
        ordered = (await client.post("/v1/exports", json={})).json()
        await office.work()
        body = (await client.get(f"/v1/exports/{ordered['id']}/stream")).content
        manifest = (await client.get(f"/v1/exports/{ordered['id']}/manifest")).json()
    found = [orjson.loads(line) for line in body.split(b"\n")[:-1]]
    assert {one["tenant"] for one in found} == {TENANT}
    assert manifest["tenant"] == TENANT
    assert manifest["complete"] is True
    assert manifest["ledger_rows"] == len(found)
    for part in manifest["partitions"]:  # nothing of where the partitions of all tenants end
        own = [one["offset"] for one in stored_rows(office.store, PART.format(**part))]
        assert part["next_offset"] == max(own) + 1 < END
        assert part["ledger_rows"] == part["rows"] == len(own)


PART = f"tenant = '{TENANT}' AND incarnation = '{{incarnation}}' AND ({EXPORTED})"


async def test_reads_are_exported_only_by_who_may_see_them_and_asks(office: Office) -> None:
    _, body, _ = await export(office, q="is:read")
    assert body.count(b"audit.events.searched") == 4
    analyst = Principal("an", frozenset({"analyst"}), kind="token")
    async with office.client(principal=analyst) as client:
        answer = await client.post("/v1/exports", json={"q": "is:read"})
    assert answer.status_code == 403


async def test_canaries_are_exported_only_if_asked_for(office: Office) -> None:
    _, body, _ = await export(office, q="is:canary")
    assert body.count(b"\n") == 3


@pytest.mark.parametrize("at_once", [7, 50, 599, 600, 601])
async def test_a_minute_with_very_much_in_it_is_cut_without_loss_or_repeat(
    office: Office, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(plan, "ROWS_AT_ONCE", at_once)
    office.piece_bytes = 20_000
    _, body, manifest = await export(office, q="user:user*")
    found = [orjson.loads(line) for line in body.split(b"\n")[:-1]]
    own = sorted(one["offset"] for one in found if not one["event_id"].startswith("o-"))
    assert own == list(range(2000, 2600))
    assert manifest["rows"] == len({one["event_id"] for one in found}) == len(found)


async def test_estimate_counts_without_making_anything(office: Office) -> None:
    async with office.client() as client:
        found = (await client.post("/v1/exports/estimate", json={"q": "user:user1"})).json()
    assert 200 <= found["rows"] <= 210
    assert not office.folder.exists()
