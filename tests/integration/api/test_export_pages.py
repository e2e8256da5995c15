from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from console.access import Principal
from console.state import State
from consumers.migrate import migrate
from runtime.clickhouse import Store
from tests.integration.api.exporting import Office, fill

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def filled(store: Store) -> Iterator[Store]:
    with Store(store.name, database="export_pages") as opened:
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


async def ordered(client: httpx.AsyncClient, **fields: str) -> str:
    answer = await client.post("/exports", data={"format": "csv", **fields})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_an_export_is_ordered_followed_and_proved_on_its_page(office: Office) -> None:
    async with office.client() as client:
        empty = await client.get("/exports", headers=HTML)
        assert "No exports yet" in empty.text
        form = await client.get("/exports/new", params={"q": "user:user1"}, headers=HTML)
        assert form.status_code == 200
        assert "rows match" in form.text
        place = await ordered(client, q="user:user1")
        waiting = await client.get(place, headers=HTML)
        assert "Cancel" in waiting.text
        assert "data-refresh-s" in waiting.text
        await office.work()
        shown = await client.get(place, headers=HTML)
        assert "Download" in shown.text
        assert "sha256sum --check" in shown.text
        assert "data-refresh-s" not in shown.text
        listed = await client.get("/exports", headers=HTML)
        assert place in listed.text
        facts = (await client.get(f"{place}.json")).json()
        assert facts["manifest"]["sha256"] == facts["export"]["sha256"]
        assert (await client.get("/exports.csv")).text.startswith("id,state,by")
        file = await client.get(f"{place}/stream")
        assert file.headers["content-disposition"] == (
            f'attachment; filename="{facts["export"]["file"]}"'
        )
        manifest = await client.get(f"{place}/manifest")
        assert manifest.json() == facts["manifest"]
        gone = await client.post(f"{place}/delete", data={})
        assert gone.status_code == 303
        assert "was removed" in (await client.get(place, headers=HTML)).text
    paths = [read.path for read in office.seen]
    assert paths.count("/exports") == 3
    assert "/v1/exports/{export_id}/stream" in paths


async def test_a_waiting_one_is_cancelled_by_its_button(office: Office) -> None:
    async with office.client() as client:
        place = await ordered(client, q="")
        assert (await client.post(f"{place}/cancel", data={})).status_code == 303
        assert "cancelled" in (await client.get(place, headers=HTML)).text


async def test_a_wrong_query_is_told_on_the_form(office: Office) -> None:
    async with office.client() as client:
        shown = await client.get("/exports/new", params={"q": "user:("}, headers=HTML)
        assert shown.status_code == 200
        assert "exported" in shown.text
        assert (await client.post("/exports", data={"q": "user:("})).status_code == 400


async def test_hostile_queries_show_as_text(office: Office) -> None:
    async with office.client() as client:
        place = await ordered(client, q='"<script>alert(1)</script>\u202e"')
        for path in (place, "/exports"):
            text = (await client.get(path, headers=HTML)).text
            assert "<script>alert" not in text
            assert "\u202e" not in text


async def test_pages_are_for_those_who_may_export(office: Office) -> None:
    viewer = Principal("v", frozenset({"viewer"}), kind="token")
    async with office.client(principal=viewer) as client:
        for path in ("/exports", "/exports/new", f"/exports/{'0' * 32}"):
            assert (await client.get(path, headers=HTML)).status_code == 403
        assert (await client.post("/exports", data={})).status_code == 403
    other = Principal("o", frozenset({"analyst"}), kind="token")
    async with office.client() as client:
        place = await ordered(client, q="")
    async with office.client(principal=other) as client:
        for end in ("", ".json", "/stream", "/manifest"):
            assert (await client.get(f"{place}{end}", headers=HTML)).status_code == 404
