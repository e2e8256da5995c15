"""Saved searches, over their pages and REST: whose they are, and who sees them."""

from typing import Any

import httpx
import pytest

from schemas.searches import SavedSearches
from tests.integration.api.searching import data, page
from tests.integration.api.test_search_pages import somebody


@pytest.fixture
def pair(ask: Any) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    return (
        ask(authenticator=somebody("analyst", name="ann", tenant="pages")),
        ask(authenticator=somebody("viewer", name="bob", tenant="pages")),
    )


async def test_a_search_is_saved_shared_renamed_and_deleted_by_its_owner(pair: Any) -> None:
    ann, bob = pair
    saved = {"name": "Denied <b>", "q": "-result:success risk>50", "shared": "1"}
    answer = await ann.post("/searches", data=saved)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/searches")
    (mine,) = (await data(ann, "/searches.json"))["searches"]
    assert (mine["own"], mine["owner"], mine["shared"]) == (True, "ann", True)
    assert "Denied &lt;b&gt;" in await page(ann, "/searches")
    assert "Denied &lt;b&gt;" in await page(ann, "/search")

    (theirs,) = (await data(bob, "/v1/searches"))["searches"]
    assert (theirs["own"], theirs["q"]) == (False, "-result:success risk>50")
    for path, form in (
        ("/searches/delete", {"search_id": mine["search_id"]}),
        ("/searches/rename", {"search_id": mine["search_id"], "name": "taken"}),
    ):
        assert (await bob.post(path, data=form)).status_code == 404
    assert (await bob.delete(f"/v1/searches/{mine['search_id']}")).status_code == 404

    renamed = {"search_id": mine["search_id"], "name": "Refused"}
    assert (await ann.post("/searches/rename", data=renamed)).status_code == 303
    assert "Refused" in await page(ann, "/searches")
    gone = {"search_id": mine["search_id"]}
    assert (await ann.post("/searches/delete", data=gone)).status_code == 303
    assert (await data(ann, "/searches.json"))["searches"] == []


async def test_what_is_not_shared_is_seen_by_its_owner_alone(ask: Any, pair: Any) -> None:
    ann, bob = pair
    stranger = ask(authenticator=somebody("analyst", name="ann", tenant="elsewhere"))
    answer = await ann.post("/v1/searches", json={"name": "own", "q": "risk>50"})
    assert answer.status_code == 200
    await ann.post("/v1/searches", json={"name": "ours", "q": "risk>1", "shared": True})

    assert [one["name"] for one in (await data(ann, "/v1/searches"))["searches"]] == ["ours", "own"]
    assert [one["name"] for one in (await data(bob, "/v1/searches"))["searches"]] == ["ours"]
    assert (await data(stranger, "/v1/searches"))["searches"] == []


async def test_a_query_that_can_not_be_read_is_not_saved(pair: Any) -> None:
    ann, _ = pair
    answer = await ann.post("/v1/searches", json={"name": "x", "q": "bogus:1"})

    assert answer.status_code == 400
    assert answer.json()["field"] == "q"
    SavedSearches.model_validate(await data(ann, "/v1/searches"))


async def test_a_name_saved_again_is_replaced_and_one_taken_is_not(pair: Any) -> None:
    ann, _ = pair
    for name, query in (("a", "risk>1"), ("b", "risk>2"), ("a", "risk>3")):
        await ann.post("/v1/searches", json={"name": name, "q": query})
    found = (await data(ann, "/v1/searches"))["searches"]
    assert [(one["name"], one["q"]) for one in found] == [("a", "risk>3"), ("b", "risk>2")]

    taken = {"search_id": found[0]["search_id"], "name": "b"}
    assert (await ann.post("/searches/rename", data=taken)).status_code == 409
    assert (await ann.delete(f"/v1/searches/{found[0]['search_id']}")).status_code == 204
