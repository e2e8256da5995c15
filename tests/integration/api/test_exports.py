import asyncio
import csv
import errno
import hashlib
import io
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from console.access import Principal
from console.export import plan
from console.export.desk import ExportLimits
from console.export.fields import FIELDS
from console.export.routes import desk_of
from console.search.rendering import EVENT_SELECT, render_event
from console.state import State
from consumers.migrate import migrate
from runtime.clickhouse import Store
from schemas.errors import StoreUnavailable
from schemas.spreadsheet import defused
from schemas.tables import EVENTS
from tests.integration.api.exporting import END, FORMULAS, TENANT, Office, fill
from tests.integration.api.stored import event, put


@pytest.fixture(scope="module")
def filled(store: Store) -> Iterator[Store]:
    with Store(store.name, database="exports") as opened:
        migrate(opened)
        fill(opened)
        yield opened


@pytest.fixture
async def office(filled: Store, tmp_path: Path) -> AsyncIterator[Office]:
    state = State(tmp_path / "console.sqlite3")
    await state.open()
    made = Office(filled, state, tmp_path / "exports")
    yield made
    made.close()
    await state.close()


def stored_rows(store: Store, where: str) -> list[dict[str, Any]]:
    words = ["SELECT", EVENT_SELECT, "FROM", EVENTS, "WHERE", where]
    return store.query(" ".join(words))


def rendered(store: Store, where: str = "1") -> dict[tuple[str, int], dict[str, Any]]:
    rows = stored_rows(store, where)
    return {
        (row["incarnation"], row["offset"]): json.loads(orjson.dumps(render_event(row)))
        for row in rows
    }


EXPORTED = (
    "offset < 5000 AND replayed = 0 AND NOT has(flags, 'canary') AND action NOT LIKE 'audit.%'"
    " OR replayed = 1"
)


async def export(office: Office, **asked: Any) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """Order, work, and bring home: what is told of it, its bytes, its manifest."""
    async with office.client() as client:
        ordered = await client.post("/v1/exports", json=asked)
        assert ordered.status_code == 201, ordered.text
        await office.work()
        shown = (await client.get(f"/v1/exports/{ordered.json()['id']}")).json()
        assert shown["state"] == "done", shown
        body = (await client.get(f"/v1/exports/{shown['id']}/stream")).content
        manifest = (await client.get(f"/v1/exports/{shown['id']}/manifest")).json()
    return shown, body, manifest


def details_of(text: bytes) -> str:
    """The details as they stand in the line."""
    start = text.index(b',"details":') + len(b',"details":')
    _, end = json.JSONDecoder().raw_decode(text.decode(), len(text[:start].decode()))
    return text.decode()[len(text[:start].decode()) : end]


async def test_lines_are_what_the_api_answers_for_each_event_however_hostile(
    office: Office, filled: Store
) -> None:
    shown, body, _ = await export(office)
    lines = body.splitlines(keepends=False)
    assert body.endswith(b"\n")
    assert len(body.split(b"\n")) - 1 == shown["rows"]
    wanted = rendered(filled, EXPORTED)
    assert shown["rows"] == len(wanted) == shown["rows_total"]
    found = [json.loads(line) for line in body.split(b"\n")[:-1]]
    by_id: dict[str, list[Any]] = {}
    for one in wanted.values():
        by_id.setdefault(one["event_id"], []).append(one)
    for one in found:
        assert one in by_id[one["event_id"]], one["offset"]
        assert list(one) == list(by_id[one["event_id"]][0])
    assert sorted(one["event_id"] for one in found) == sorted(
        one["event_id"] for one in wanted.values()
    )
    assert len(lines) >= len(found)


async def test_details_are_taken_over_byte_for_byte(office: Office, filled: Store) -> None:
    _, body, _ = await export(office)
    wanted = {}
    for row in stored_rows(filled, EXPORTED):
        text = orjson.dumps(render_event(row)["details"]).decode()
        wanted[row["incarnation"], row["offset"]] = text.translate({10: " ", 13: " "})
    texts = sorted(wanted.values())
    found = sorted(details_of(line) for line in body.split(b"\n")[:-1])
    assert found == texts
    assert any("123456789012345678901234567890" in text and "12.40" in text for text in found)
    assert any(text == '{"password":"***"}' for text in found)
    assert not any("hunter2" in text for text in found)


async def test_order_is_that_of_time_and_nothing_stands_twice(office: Office) -> None:
    _, body, _ = await export(office)
    found = [orjson.loads(line) for line in body.split(b"\n")[:-1]]
    minutes = [one["timestamp"][:16] for one in found]
    assert minutes == sorted(minutes)
    assert len({one["event_id"] for one in found} | {"same"}) >= len(found) - 1


async def test_csv_is_read_back_whole_and_holds_no_formula(office: Office, filled: Store) -> None:
    shown, body, _ = await export(office, format="csv")
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    wanted = rendered(filled, EXPORTED)
    assert len(rows) == shown["rows"] == len(wanted)
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values()
    )
    users = {row["user"] for row in rows}
    assert {f"'{text}" for text in FORMULAS} <= users
    assert {"two\nlines\r\nand more", 'a "quoted", text', "Größe 大きさ 🙂"} <= users
    assert any(user.startswith("\x01\x02\x00 controls") for user in users)
    by_id = {one["event_id"]: one for one in wanted.values()}
    for row in rows:
        one = by_id[row["event_id"]]
        if row["event_id"] == "same":
            continue
        assert json.loads(row["details"]) == one["details"]
        assert row["timestamp"] == one["timestamp"]
        assert row["ip_address"] == (one["ip_address"] or "")
        assert row["geo_asn"] == str(one["geo"]["asn"] or "")
        assert json.loads(row["changes"]) == one["changes"]
        assert row["flags"] == ";".join(one["flags"])


async def test_parquet_is_read_back_whole_with_types_and_nulls(
    office: Office, filled: Store
) -> None:
    shown, body, _ = await export(office, format="parquet")
    table = pq.read_table(io.BytesIO(body))
    wanted = rendered(filled, EXPORTED)
    assert table.num_rows == shown["rows"] == len(wanted)
    assert pq.ParquetFile(io.BytesIO(body)).metadata.num_row_groups > 3
    by_id = {one["event_id"]: one for one in wanted.values()}
    for row in table.to_pylist():
        one = by_id[row["event_id"]]
        if row["event_id"] == "same":
            continue
        assert json.loads(row["details"]) == one["details"]
        assert row["user"] == one["user"]
        assert row["role"] == one["role"]
        assert row["ip_address"] == one["ip_address"]
        assert row["geo_asn"] == one["geo"]["asn"]
        assert row["flags"] == one["flags"]
        assert row["offset"] == one["offset"]
        assert str(row["retain_until"] or "") == (one["retain_until"] or "")
        stamp = row["timestamp"].isoformat().replace("+00:00", "")
        assert one["timestamp"].startswith(stamp.removesuffix("000000"))


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
async def test_an_export_of_nothing_is_a_whole_file(office: Office, form: str) -> None:
    shown, body, manifest = await export(office, q="user:nobody-at-all", format=form)
    assert shown["rows"] == 0
    assert manifest["rows"] == 0
    if form == "parquet":
        assert pq.read_table(io.BytesIO(body)).num_rows == 0
    else:
        assert body.count(b"\r\n") == (form == "csv")


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


async def test_strangers_wrong_tenants_and_wrong_roles_get_nothing(office: Office) -> None:
    shown, _, _ = await export(office)
    viewer = Principal("v", frozenset({"viewer"}), kind="token")
    other = Principal("someone", frozenset({"analyst"}), kind="token")
    tenant = Principal("service-token", frozenset({"auditor"}), "globex", kind="token")
    paths = [f"/v1/exports/{shown['id']}{end}" for end in ("", "/stream", "/manifest")]
    async with office.client() as stranger:
        stranger.headers["authorization"] = "Bearer wrong"
        for path in paths:
            assert (await stranger.get(path)).status_code == 401
    for principal, status in ((viewer, 403), (other, 404), (tenant, 404)):
        async with office.client(principal=principal) as client:
            for path in paths:
                assert (await client.get(path)).status_code == status
            for end in ("cancel", "delete"):
                answer = await client.post(f"/v1/exports/{shown['id']}/{end}")
                assert answer.status_code == status
    async with office.client(principal=viewer) as client:
        assert (await client.post("/v1/exports", json={})).status_code == 403
        assert (await client.post("/v1/exports/stream", json={})).status_code == 403
        assert (await client.post("/v1/exports/estimate", json={})).status_code == 403
        assert (await client.get("/v1/exports")).status_code == 403
    async with office.client(principal=other) as client:
        assert (await client.get("/v1/exports")).json()["exports"] == []
    auditor = Principal("a", frozenset({"auditor"}), kind="token")
    async with office.client(principal=auditor) as client:
        assert len((await client.get("/v1/exports")).json()["exports"]) == 1
        assert (await client.get(paths[1])).status_code == 200


async def test_auditors_see_the_exports_of_others_and_leave_them_alone(office: Office) -> None:
    ann = Principal("ann", frozenset({"analyst"}), kind="token")
    aud = Principal("aud", frozenset({"auditor"}), kind="token")
    async with (
        office.client(principal=ann) as owner,
        office.client(principal=aud) as auditor,
        office.client() as service,
    ):
        done = (await owner.post("/v1/exports", json={})).json()["id"]
        await office.work()
        waiting = (await owner.post("/v1/exports", json={})).json()["id"]
        for path in (f"{done}/delete", f"{waiting}/cancel"):
            assert (await auditor.post(f"/v1/exports/{path}")).status_code == 403
        assert "Remove the file" not in (await auditor.get(f"/exports/{done}")).text
        assert "Remove the file" in (await owner.get(f"/exports/{done}")).text
        states = [
            (await auditor.get(f"/v1/exports/{one}")).json()["state"] for one in (done, waiting)
        ]
        assert states == ["done", "queued"]
        assert (await service.post(f"/v1/exports/{waiting}/cancel")).status_code == 200
        assert (await owner.post(f"/v1/exports/{done}/delete")).status_code == 200
    ends = [one for one in office.told if one["action"].endswith(("cancelled", "deleted"))]
    assert [one["user"] for one in ends] == ["service-token", "ann"]


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


async def test_the_store_takes_for_a_formula_what_pages_take_for_one(filled: Store) -> None:
    texts = [*FORMULAS, "", "a=1", " a", "'=1", "a@b.com", "grün", "x\n=1"]
    cells = store_cells(filled, texts)
    assert cells == [defused(text) for text in texts]


def store_cells(store: Store, texts: list[str]) -> list[str]:
    """The texts as the SQL of exports writes them into a CSV."""
    words = [
        "SELECT",
        FIELDS["user"].cell,
        "AS cell FROM",
        "(SELECT arrayJoin({t:Array(String)}) AS user)",
    ]
    sql = " ".join(words)
    cells = [row["cell"] for row in store.query(sql, {"t": texts})]
    return [
        row[0] if row else ""
        for cell in cells
        for row in csv.reader(io.StringIO(cell + "\r\n", newline=""))
    ]


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


async def test_columns_are_those_chosen_in_the_order_of_the_api(office: Office) -> None:
    _, body, manifest = await export(office, columns=["offset", "user", "geo"])
    assert list(orjson.loads(body.split(b"\n")[0])) == ["user", "geo", "offset"]
    _, body, _ = await export(office, columns=["offset", "user", "geo"], format="csv")
    assert body.split(b"\r\n")[0] == b"user,geo_country,geo_asn,geo_as_name,offset"
    assert manifest["columns"] == ["offset", "user", "geo"]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
async def test_a_small_one_streams_at_once_and_is_the_same_file(office: Office, form: str) -> None:
    office.piece_bytes = 1 << 24
    _, body, _ = await export(office, format=form)
    async with office.client() as client:
        answer = await client.post("/v1/exports/stream", json={"format": form})
    assert answer.status_code == 200
    if form == "parquet":
        assert pq.read_table(io.BytesIO(answer.content)).equals(pq.read_table(io.BytesIO(body)))
    else:
        assert answer.content == body
    assert office.seen[-1].path == "/v1/events/stream"
    assert office.seen[-1].rows == int(answer.headers["x-audit-rows"])


async def test_a_download_goes_on_where_it_broke_off(office: Office) -> None:
    shown, body, _ = await export(office)
    path = f"/v1/exports/{shown['id']}/stream"
    async with office.client() as client:
        whole = await client.get(path)
        tag = whole.headers["etag"]
        assert tag == f'"{shown["sha256"]}"'
        for given, first, end in (
            ("bytes=0-99", 0, 100),
            ("bytes=1000-", 1000, len(body)),
            ("bytes=-7", len(body) - 7, len(body)),
            (f"bytes=5-{len(body) * 2}", 5, len(body)),
        ):
            part = await client.get(path, headers={"range": given, "if-range": tag})
            assert part.status_code == 206
            assert part.content == body[first:end]
            assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{len(body)}"
        behind = await client.get(path, headers={"range": f"bytes={len(body)}-"})
        assert behind.status_code == 416
        other = await client.get(path, headers={"range": "bytes=5-", "if-range": '"else"'})
        assert (other.status_code, other.content) == (200, body)
        assert (await client.get(path, headers={"if-none-match": tag})).status_code == 304
    downloads = [read for read in office.seen if read.path.endswith("/stream")]
    assert len(downloads) == 9  # each try, and the one of `export`
    assert {read.rows for read in downloads} == {shown["rows"]}


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


async def test_expired_or_removed_files_are_gone_and_their_state_says_so(office: Office) -> None:
    shown, _, _ = await export(office)
    removed, _, _ = await export(office)
    async with office.client() as client:
        gone = await client.post(f"/v1/exports/{removed['id']}/delete")
        assert gone.json()["state"] == "expired"
        office.clock.ms += 7 * 86_400_000 + 1
        await client.post("/v1/exports", json={"q": "user:nobody"})
        await office.work()
        late = (await client.get(f"/v1/exports/{shown['id']}")).json()
        assert late["state"] == "expired"
        assert (await client.get(f"/v1/exports/{shown['id']}/stream")).status_code == 409
    assert not list(office.folder.glob(f"{shown['id']}*"))
    assert not list(office.folder.glob(f"{removed['id']}*"))
    assert "audit.export.deleted" in {one["action"] for one in office.told}


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


async def test_files_are_for_their_owner_alone(office: Office) -> None:
    shown, _, _ = await export(office)
    assert office.folder.stat().st_mode & 0o777 == 0o700
    for path in office.folder.glob(f"{shown['id']}*"):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_estimate_counts_without_making_anything(office: Office) -> None:
    async with office.client() as client:
        found = (await client.post("/v1/exports/estimate", json={"q": "user:user1"})).json()
    assert 200 <= found["rows"] <= 210
    assert not office.folder.exists()


async def test_exports_of_a_service_without_a_desk_are_refused(office: Office) -> None:
    api = replace(office.api(None), desk=None)
    with pytest.raises(StoreUnavailable):
        desk_of(api)
