"""The page of an event on a real store: what it shows, and to whom."""

from collections.abc import Iterator
from typing import Any

import pytest

from console.ports import Read
from runtime.clickhouse import Store
from tests.integration.api.searching import RETENTION, data, page, put_pages, remove_pages
from tests.integration.api.stored import INCARNATION, SEED
from tests.integration.api.test_search_pages import somebody


@pytest.fixture(scope="module", autouse=True)
def stored(store: Store) -> Iterator[None]:
    put_pages(store)
    yield
    remove_pages(store)


async def test_the_event_page_answers_who_where_what_and_where_from(
    ask: Any, seen: list[Read]
) -> None:
    html = await page(ask(), f"/events/{RETENTION}")

    for text in (
        "admin@company.com",
        "203.0.113.42",
        "settings.retention_policy.updated",
        "voice_recordings",
        "90 days",
        "180 days",
        "compliance requirement update",
        "retention_shortened",
        "DTAG",
        "offsets 0 to 2, 3 rows",
        "sess_xyz789",
    ):
        assert text in html, text
    assert SEED[2].decode() in html.replace("&#34;", '"')
    assert [read.path for read in seen] == ["/events/{event_id}"]


async def test_changes_are_shown_word_by_word_and_member_by_member(ask: Any) -> None:
    html = await page(ask(), f"/events/{INCARNATION[:8]}-0-976")

    assert "<mark>welcome</mark>" in html
    assert "<mark>goodbye</mark>" in html
    assert "tue" in html
    assert "wed" in html


async def test_a_viewer_sees_the_event_and_not_its_bytes(ask: Any) -> None:
    client = ask(authenticator=somebody("viewer"))
    html = await page(client, "/events/0:504")
    found = await data(client, "/events/0:504.json")

    assert "As published" not in html
    assert (found["raw"], found["raw_base64"]) == (None, None)
    assert "As published" in await page(ask(), "/events/0:504")


async def test_what_was_masked_is_masked_in_the_details_and_only_in_evidence_in_the_bytes(
    ask: Any,
) -> None:
    viewer = ask(authenticator=somebody("viewer"))

    assert "hunter2" not in await page(viewer, "/events/0:505")
    assert "hunter2" in await page(ask(), "/events/0:505")


@pytest.mark.parametrize("way", ["session", "user", "ip", "resource"])
async def test_what_lies_around_an_event_is_one_click_away(ask: Any, way: str) -> None:
    client = ask()
    html = await page(client, f"/events/{INCARNATION[:8]}-0-1")
    assert f"?around={way}" in html

    found = await data(client, f"/events/{INCARNATION[:8]}-0-1.json", around=way)
    near = [event["offset"] for event in found["around"]["events"]]
    assert 1 in near
    if way in ("session", "user"):
        assert near == [2, 1]


async def test_neighbours_stand_on_both_sides_in_order(ask: Any) -> None:
    found = await data(ask(), f"/events/{INCARNATION[:8]}-0-930.json", around="user")
    near = [event["offset"] for event in found["around"]["events"]]

    assert near == list(range(954, 905, -3))


async def test_an_id_sent_twice_leads_to_the_other_one(ask: Any) -> None:
    html = await page(ask(), "/events/same")

    assert "The same id elsewhere" in html
    assert "/events/0:507" in html


async def test_a_large_event_is_folded_until_all_of_it_is_asked_for(ask: Any) -> None:
    client = ask()
    folded = await page(client, "/events/big-one")
    whole = await page(client, "/events/big-one", all=1)

    assert len(folded) < 200_000 < len(whole)
    assert "Show all of it" in folded
    assert "key_3999" in whole
    assert "key_3999" not in folded


async def test_an_event_that_is_not_there_is_said(ask: Any) -> None:
    html = await page(ask(), "/events/nothing-like-it", status=404)

    assert "o event that you may see has that id" in html
