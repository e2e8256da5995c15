"""The queue of alerts: its order, filters and changes, as each role and tenant gets it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.state import State
from runtime.clickhouse import Store
from tests.integration.api.office import Office, form, text_of


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> AsyncIterator[Office]:
    state = State(tmp_path / "office.sqlite3")
    await state.open()
    made = Office(store, state)
    yield made
    made.reader.close()
    await state.close()


async def queue(client: httpx.AsyncClient, **asked: Any) -> list[str]:
    answer = await client.get("/alerts.json", params={"limit": 200, **asked})
    assert answer.status_code == 200, answer.text
    return [one["alert_id"] for one in answer.json()["alerts"]]


async def test_the_queue_has_open_before_acknowledged_the_worst_first_then_who_waits_longest(
    office: Office,
) -> None:
    at = "2025-10-12T10:{:02d}:00.000Z"
    late = office.alert(tenant="order", severity="high", recorded=at.format(5))
    early = office.alert(tenant="order", severity="high", recorded=at.format(1))
    worst = office.alert(tenant="order", severity="critical", recorded=at.format(9))
    taken = office.alert(tenant="order", severity="critical", recorded=at.format(0))
    async with office.client(tenant="order") as client:
        await client.post("/alerts/changes", data=form(alert_id=taken, do="acknowledge"))
        assert await queue(client) == [worst, early, late]
        assert await queue(client, status="active") == [worst, early, late, taken]
        assert await queue(client, status="active", order="newest") == [worst, late, early, taken]
        assert await queue(client, severity="high", status="any") == [early, late]


async def test_a_past_critical_alert_does_not_stand_above_a_live_one(office: Office) -> None:
    past = office.alert(tenant="past", severity="critical", historical=True, user="old")
    live = office.alert(tenant="past", severity="low", user="new")
    async with office.client(tenant="past") as client:
        assert await queue(client) == [live]
        assert await queue(client, status="past") == [past]
        assert set(await queue(client, status="any")) == {live, past}
        page = (await client.get("/alerts")).text
        assert "Past 1" in text_of(page)
        assert "nobody was told of them" in text_of((await client.get("/alerts?status=past")).text)
        await client.post("/alerts/changes", data=form(alert_id=past, do="acknowledge"))
        assert await queue(client, status="past") == []
        assert await queue(client, status="acknowledged") == [past]


async def test_what_one_user_did_within_the_hour_is_one_row_with_a_link_to_the_rest(
    office: Office,
) -> None:
    worst = office.alert(tenant="story", severity="high", user="sara@x.y", title="Mass export")
    other = office.alert(tenant="story", severity="low", user="sara@x.y", title="Odd login")
    async with office.client(tenant="story") as client:
        html = (await client.get("/alerts")).text
        assert f'value="{worst}"' in html
        assert f'value="{other}"' not in html
        said = text_of(html)
        assert "+1 more of sara@x.y Odd login" in said
        assert "/alerts?user=sara%40x.y" in html
        whole = (await client.get("/alerts?user=sara%40x.y")).text
        assert f'value="{worst}"' in whole
        assert f'value="{other}"' in whole
        assert await queue(client) == [worst, other]


async def test_pages_of_the_queue_join_without_a_gap_or_a_repeat(office: Office) -> None:
    made = [
        office.alert(tenant="paged", severity=("low", "high", "medium")[n % 3]) for n in range(11)
    ]
    async with office.client(tenant="paged") as client:
        whole = await queue(client)
        found: list[str] = []
        cursor: str | None = None
        while True:
            asked = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = (await client.get("/alerts.json", params=asked)).json()
            found += [one["alert_id"] for one in page["alerts"]]
            cursor = page["next"]
            if cursor is None:
                break
        other = await client.get("/alerts.json", params={"cursor": "x", "limit": 3})
    assert found == whole
    assert sorted(found) == sorted(made)
    assert other.status_code == 400


async def test_counts_by_status_and_severity_are_links_that_show_as_many(office: Office) -> None:
    for severity in ("critical", "high", "high"):
        office.alert(tenant="counts", severity=severity)
    done = office.alert(tenant="counts", severity="low")
    async with office.client(tenant="counts") as client:
        await client.post("/alerts/changes", data=form(alert_id=done, do="resolve"))
        counts = (await client.get("/alerts.json")).json()["counts"]
        assert counts["status"] == {
            "open": 3,
            "acknowledged": 0,
            "past": 0,
            "resolved": 1,
            "false_positive": 0,
            "closed": 1,
            "active": 3,
            "any": 4,
        }
        assert counts["severity"]["high"] == 2
        assert counts["severity"]["low"] == 0
        for status, number in counts["status"].items():
            assert len(await queue(client, status=status)) == number
        html = (await client.get("/alerts")).text
        assert "/alerts?severity=critical" in html


async def test_every_filter_narrows_and_an_empty_field_narrows_nothing(office: Office) -> None:
    one = office.alert(tenant="narrow", user="eve", ip_address="203.0.113.9", session_id="s1")
    two = office.alert(tenant="narrow", user="bob", rule_id="other", tags=("attack.t1078",))
    hidden = office.alert(tenant="narrow", suppressed_by="exception-1")
    canary = office.alert(tenant="narrow", canary=True)
    repeat = office.alert(tenant="narrow", lead=one)
    async with office.client(tenant="narrow") as client:
        assert await queue(client, user="eve") == [one]
        assert await queue(client, ip="203.0.113.9") == [one]
        assert await queue(client, session="s1") == [one]
        assert await queue(client, rule="other") == [two]
        assert await queue(client, tag="attack.t1078") == [two]
        assert await queue(client, shown="suppressed") == [hidden]
        assert await queue(client, shown="canaries") == [canary]
        assert set(await queue(client, grouped="false")) == {one, two, repeat}
        assert set(await queue(client, user="", rule="", since="", assignee="")) == {one, two}
        await client.post("/alerts/changes", data=form(alert_id=two, do="assign", assignee="bob"))
        assert await queue(client, assignee="bob") == [two]
        assert await queue(client, assignee="-") == [one]
        assert await queue(client, since="2025-10-13") == []
        assert (await client.get("/alerts.json?nonsense=1")).status_code == 400


async def test_a_bulk_action_changes_each_alert_once_and_leaves_an_event_of_each(
    office: Office,
) -> None:
    lead = office.alert()
    repeat, other = office.alert(lead=lead), office.alert()
    async with office.client() as client:
        answer = await client.post(
            "/alerts/changes",
            data=form(
                alert_id=[lead, repeat, other], do="resolve", note="drill", back="/alerts?user=jane"
            ),
        )
        assert answer.status_code == 303
        assert answer.headers["location"] == "/alerts?user=jane&changed=2"
        assert "2 alerts were changed" in (await client.get(answer.headers["location"])).text
    assert [one["action"] for one in office.told] == [
        "security.alert.resolved",
        "security.alert.noted",
    ] * 2
    assert {one["user"] for one in office.told} == {"ann"}
    assert {one["session_id"] for one in office.told} == {"key-ann"}
    assert {one["resource_id"] for one in office.told} == {lead, other}


async def test_what_a_bulk_action_could_not_change_is_shown_and_the_rest_is_changed(
    office: Office,
) -> None:
    closed, fine = office.alert(), office.alert()
    foreign = office.alert(tenant="elsewhere")
    async with office.client() as client:
        await client.post("/alerts/changes", data=form(alert_id=closed, do="resolve"))
        answer = await client.post(
            "/alerts/changes", data=form(alert_id=[closed, fine, foreign], do="acknowledge")
        )
        assert answer.status_code == 200
        said = text_of(answer.text)
        assert "1 changed, 2 not" in said
        assert "reopen it first" in said
        shown = (await client.get(f"/alerts/{fine}.json")).json()
        assert shown["alert"]["status"] == "acknowledged"


async def test_a_broker_that_goes_away_midway_fails_the_rest_and_only_the_rest(
    office: Office,
) -> None:
    ids = [office.alert() for _ in range(3)]
    office.away_after = 1
    async with office.client(kind="token") as client:
        done = (
            await client.post("/v1/alerts/changes", json={"ids": ids, "status": "resolved"})
        ).json()
        office.away_after = None
        assert [one["alert_id"] for one in done["changed"]] == ids[:1]
        assert [one["alert_id"] for one in done["failed"]] == ids[1:]
        states = [(await client.get(f"/v1/alerts/{one}")).json()["alert"]["status"] for one in ids]
    assert states == ["resolved", "open", "open"]


@pytest.mark.parametrize(
    "back", ["//evil.example/x", "https://evil.example", "/search", "/alertsx", "\\\\evil"]
)
async def test_a_form_leads_back_to_pages_of_alerts_only(office: Office, back: str) -> None:
    one = office.alert()
    async with office.client() as client:
        answer = await client.post(
            "/alerts/changes", data=form(alert_id=one, do="note", note="x", back=back)
        )
    assert answer.headers["location"] == "/alerts?changed=1"


async def test_only_the_services_token_may_name_somebody_else(office: Office) -> None:
    one = office.alert()
    path = f"/v1/alerts/{one}/changes"
    async with office.client(kind="token") as client:
        refused = await client.post(path, json={"by": "bob", "note": "x"})
        assert (refused.status_code, refused.json()["field"]) == (403, "by")
        claimed = await client.post(
            path, json={"note": "x"}, headers={"x-audit-operator": "mallory"}
        )
        assert claimed.json()["changes"][0]["who"] == "ann"
        own = await client.post(path, json={"by": "ann", "note": "y"})
        assert own.status_code == 200
    async with office.client("service-token", kind="service") as client:
        named = await client.post(path, json={"by": "bob", "note": "z"})
        assert named.json()["changes"][0]["who"] == "bob"
        login = await client.post(path, json={"note": "z"}, headers={"x-audit-operator": "carl"})
        assert login.json()["changes"][0]["who"] == "carl"


async def test_another_tenant_or_role_gets_nothing(office: Office) -> None:
    one = office.alert()
    async with office.client(tenant="another") as client:
        assert (await client.get(f"/alerts/{one}")).status_code == 404
        assert one not in await queue(client)
        answer = await client.post(
            f"/alerts/{one}/exception",
            data=form(where=["user"], reason="x", owner="a", expires="2025-12-31"),
        )
        assert answer.status_code == 404
    for role in ("viewer", "auditor"):
        async with office.client("v", role) as client:
            page = await client.get("/alerts")
            assert page.status_code == 200
            assert "Acknowledge" not in page.text.replace("Acknowledged", "")
            answer = await client.post("/alerts/changes", data=form(alert_id=one, do="resolve"))
            assert answer.status_code == 403
    async with office.client("adm", "administrator") as client:
        assert (await client.get("/alerts")).status_code == 403
        assert (await client.get("/rules")).status_code == 403
    async with office.client() as client:
        forged = await client.post("/alerts/changes", data={"alert_id": one, "do": "resolve"})
        assert forged.status_code == 403
    assert office.told == []


async def test_an_empty_queue_says_so(office: Office) -> None:
    async with office.client(tenant="quiet") as client:
        assert "No open alerts" in (await client.get("/alerts")).text
        assert "No alert matches" in (await client.get("/alerts?severity=low")).text
