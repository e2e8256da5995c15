"""Files of exports: who gets them, in parts or at once, and until when."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from console.access import Principal
from runtime.clickhouse import Store
from tests.integration.api.exporting import Office, export, filled_store, open_office


@pytest.fixture(scope="module")
def filled(store: Store) -> Iterator[Store]:
    with filled_store(store) as made:
        yield made


@pytest.fixture
async def office(filled: Store, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(filled, tmp_path) as made:
        yield made


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


async def test_files_are_for_their_owner_alone(office: Office) -> None:
    shown, _, _ = await export(office)
    assert office.folder.stat().st_mode & 0o777 == 0o700
    for path in office.folder.glob(f"{shown['id']}*"):
        assert path.stat().st_mode & 0o777 == 0o600
