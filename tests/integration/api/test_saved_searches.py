"""Saved searches: nothing about them changes without its audit event."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.state import State
from runtime.clickhouse import Store
from tests.integration.api.office import Office


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> AsyncIterator[Office]:
    state = State(tmp_path / "office.sqlite3")
    await state.open()
    made = Office(store, state)
    yield made
    made.reader.close()
    await state.close()


async def kept(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    found: list[dict[str, Any]] = (await client.get("/v1/searches")).json()["searches"]
    return [(one["name"], one["q"]) for one in found]


async def test_searches_stay_as_they_are_where_no_event_can_be_kept(office: Office) -> None:
    async with office.client() as client:
        made = await client.post("/v1/searches", json={"name": "a", "q": "user:x"})
        assert made.status_code == 200, made.text
        chosen = {"search_id": made.json()["search_id"]}
        office.away_after = 0
        for path, asked in (
            ("/v1/searches", {"name": "b", "q": "user:y"}),
            ("/v1/searches", {"name": "a", "q": "user:changed"}),
        ):
            assert (await client.post(path, json=asked)).status_code == 503
        form = {"csrf": "c" * 32, **chosen}
        for path, more in (("rename", {"name": "c"}), ("delete", {})):
            answer = await client.post(f"/searches/{path}", data={**form, **more})
            assert answer.status_code == 503, answer.text
        assert await kept(client) == [("a", "user:x")]


async def test_each_change_of_a_search_leaves_one_event_of_that_search(office: Office) -> None:
    async with office.client() as client:
        made = await client.post("/v1/searches", json={"name": "a", "q": "user:x"})
        again = await client.post("/v1/searches", json={"name": "a", "q": "user:y"})
        search_id = made.json()["search_id"]
        assert again.json()["search_id"] == search_id
        form = {"csrf": "c" * 32, "search_id": search_id}
        await client.post("/searches/rename", data={**form, "name": "b"})
        await client.post("/searches/delete", data=form)
        assert await kept(client) == []
    assert [(one["action"], one["resource_id"]) for one in office.told] == [
        ("audit.search.saved", search_id),
        ("audit.search.saved", search_id),
        ("audit.search.saved", search_id),
        ("audit.search.deleted", search_id),
    ]


async def test_a_secret_in_a_saved_query_is_masked_where_it_is_told_of(office: Office) -> None:
    query = "user:jane details.password:hunter2-of-jane result:denied"
    async with office.client() as client:
        made = await client.post("/v1/searches", json={"name": "a", "q": query})
        form = {"csrf": "c" * 32, "search_id": made.json()["search_id"]}
        await client.post("/searches/delete", data=form)
    saved, deleted = (one["details"] for one in office.told)
    for details in (saved, deleted):
        assert "hunter2" not in str(details)
        assert "user:jane" in details["query"]
        assert "result:denied" in details["query"]
        assert (len(details["asked_sha256"]), details["asked_length"]) == (64, len(query))
