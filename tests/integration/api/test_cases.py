"""Cases: made, filled, worked on by two at once, taken along."""

import csv
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from console.state import State
from runtime.clickhouse import Store
from schemas.case import CaseExport, CasePage
from tests.integration.api.casework import add, make, shown
from tests.integration.api.office import Office, form, text_of


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> AsyncIterator[Office]:
    state = State(tmp_path / "office.sqlite3")
    await state.open()
    made = Office(store, state)
    yield made
    made.reader.close()
    await state.close()


async def test_a_case_has_one_timeline_of_its_events_alerts_and_notes_by_time(
    office: Office,
) -> None:
    later = office.event(timestamp="2025-10-12T09:00:02Z", action="b.later", user="bob")
    first = office.event(
        timestamp="2025-10-12T09:00:00Z",
        action="a.first",
        user="jane",
        ip_address="203.0.113.7",
        session_id="s-1",
        resource="door",
        resource_id="7",
    )
    alert = office.alert(occurred="2025-10-12T09:00:01.000Z", user="jane", title="Door forced")
    async with office.client(kind="token") as client:
        case_id = await make(client)
        done = await add(
            client, case_id, event_ids=[later, first, "nowhere"], alert_ids=[alert], note="seen"
        )
        assert (done["added"], done["known"], done["missing"]) == (3, 0, ["nowhere"])
        again = await add(client, case_id, event_ids=[first])
        assert (again["added"], again["known"]) == (0, 1)
        await client.post(
            f"/v1/cases/{case_id}/notes",
            json={"text": "guard called", "at": "2025-10-12T09:00:01.5Z"},
        )
        found = await shown(client, case_id)
        page = text_of((await client.get(f"/cases/{case_id}")).text)
    assert [one["what"] for one in found["timeline"]] == [
        "a.first",
        "Door forced",
        "guard called",
        "b.later",
    ]
    assert {one["added_by"] for one in found["timeline"]} == {"ann"}
    assert found["timeline"][0]["note"] == "seen"
    assert found["participants"] == {
        "users": [{"value": "jane", "count": 2}, {"value": "bob", "count": 1}],
        "addresses": [{"value": "203.0.113.7", "count": 1}],
        "sessions": [{"value": "s-1", "count": 1}],
        "resources": [{"value": "door", "resource_id": "7", "count": 1}],
    }
    assert page.index("a.first") < page.index("guard called") < page.index("b.later")
    assert office.seen[-1].path == "/cases/{case_id}"


async def test_an_event_is_found_by_its_place_too_and_is_one_member(office: Office) -> None:
    event_id = office.event()
    async with office.client(kind="token") as client:
        case_id = await make(client)
        await add(client, case_id, event_ids=[event_id])
        (entry,) = (await shown(client, case_id))["timeline"]
        incarnation, partition, offset = entry["ref"].rsplit("-", 2)
        for place in (entry["ref"], f"{partition}:{offset}"):
            assert (await add(client, case_id, event_ids=[place]))["known"] == 1
        assert (await add(client, case_id, event_ids=["9:99999999"]))["missing"] == ["9:99999999"]
    assert incarnation


async def test_every_change_of_a_case_is_an_audit_event_of_its_tenant(office: Office) -> None:
    event_id = office.event()
    async with office.client(kind="token") as client:
        case_id = await make(client, severity="high")
        await add(client, case_id, event_ids=[event_id])
        await client.post(f"/v1/cases/{case_id}/changes", json={"version": 1, "status": "closed"})
        await client.post(f"/v1/cases/{case_id}/notes", json={"text": "done"})
    assert [one["action"] for one in office.told] == ["audit.case.created"] + [
        "audit.case.updated"
    ] * 3
    assert {(one["tenant"], one["user"], one["resource_id"]) for one in office.told} == {
        ("office", "ann", case_id)
    }
    assert office.told[1]["details"]["added"] == [f"event {event_id}"]
    assert office.told[2]["details"]["before"] == {"status": "open"}
    assert office.told[2]["details"]["after"] == {"status": "closed"}


async def test_of_two_who_change_a_case_at_once_the_second_is_told_and_overwrites_nothing(
    office: Office,
) -> None:
    async with office.client(kind="token") as ann, office.client("bob") as bob:
        case_id = await make(ann)
        version = (await shown(ann, case_id))["case"]["version"]
        first = await ann.post(
            f"/v1/cases/{case_id}/changes", json={"version": version, "title": "Theft"}
        )
        assert first.json()["case"]["version"] == version + 1
        late = await ann.post(
            f"/v1/cases/{case_id}/changes", json={"version": version, "owner": "bob"}
        )
        assert late.status_code == 409
        assert "last by ann" in late.json()["detail"]
        page = await bob.post(
            f"/cases/{case_id}/change",
            data=form(
                version=version, title="Robbery", status="open", severity="high", owner="bob"
            ),
        )
        assert page.status_code == 409
        said = text_of(page.text)
        assert "Theft" in said
        assert "Robbery" in said
        assert (await shown(ann, case_id))["case"]["title"] == "Theft"
        over = await bob.post(
            f"/cases/{case_id}/change",
            data=form(
                version=version + 1, title="Robbery", status="open", severity="high", owner="bob"
            ),
        )
        assert over.status_code == 303
        assert (await shown(ann, case_id))["case"]["title"] == "Robbery"


async def test_two_who_add_to_a_case_at_once_lose_nothing(office: Office) -> None:
    one, two = office.event(), office.event()
    async with office.client(kind="token") as ann, office.client("bob", kind="token") as bob:
        case_id = await make(ann)
        await add(ann, case_id, event_ids=[one], note="mine")
        await add(bob, case_id, event_ids=[one, two], note="yours")
        found = await shown(ann, case_id)
    notes = {entry["name"]: (entry["note"], entry["added_by"]) for entry in found["timeline"]}
    assert notes == {one: ("mine", "ann"), two: ("yours", "bob")}


async def test_an_alert_of_the_queue_becomes_a_case_in_two_forms(office: Office) -> None:
    alert = office.alert(title="Door forced")
    async with office.client() as client:
        asked = await client.post("/cases/add", data=form(alert_id=alert))
        assert asked.status_code == 200
        assert "A new case" in text_of(asked.text)
        made = await client.post(
            "/cases/add", data=form(alert_id=alert, title="Doors", severity="high")
        )
        page = text_of((await client.get(made.headers["location"])).text)
        assert "1 added" in page
        assert "Door forced" in page
        alert_page = (await client.get(f"/alerts/{alert}")).text
        assert "Doors" in alert_page
        nothing = await client.post("/cases/add", data=form(title="x"))
        assert nothing.status_code == 400


async def test_a_case_made_from_a_critical_alert_is_critical_not_medium(office: Office) -> None:
    critical, low = office.alert(severity="critical"), office.alert(severity="low")
    async with office.client() as client:
        asked = form(alert_id=[low, critical])
        page = (await client.post("/cases/add", data=asked)).text
        assert '<option value="critical" selected>' in page
        made = await client.post("/cases/add", data=asked | {"title": "Worst"})
        case_id = made.headers["location"].split("/")[2].split("?")[0]
        case = (await client.get(f"/cases/{case_id}.json")).json()["case"]
        assert case["severity"] == "critical"
        chosen = await client.post("/cases/add", data=asked | {"title": "X", "severity": "low"})
        case_id = chosen.headers["location"].split("/")[2].split("?")[0]
        case = (await client.get(f"/cases/{case_id}.json")).json()["case"]
        assert case["severity"] == "low"


async def test_events_checked_in_a_search_go_into_a_case_together(office: Office) -> None:
    ids = [office.event(user="picked") for _ in range(2)]
    async with office.client() as client:
        page = (await client.get("/search?q=user:picked")).text
        assert 'id="pick"' in page
        for one in ids:
            assert f'name="event_id" value="{one}" form="pick"' in page
        made = await client.post("/cases/add", data=form(event_id=ids, title="Picked"))
        assert made.headers["location"].endswith("?added=2&known=0&missing=0")
        event_page = (await client.get(f"/events/{ids[0]}")).text
        assert f'name="event_id" value="{ids[0]}"' in event_page
    async with office.client("v", "viewer") as client:
        assert 'name="event_id"' not in (await client.get("/search?q=user:picked")).text


async def test_a_member_is_taken_out_and_a_closed_case_takes_none(office: Office) -> None:
    event_id = office.event()
    async with office.client() as client:
        case_id = await make(client)
        await add(client, case_id, event_ids=[event_id])
        ref = (await shown(client, case_id))["timeline"][0]["ref"]
        path = f"/cases/{case_id}/remove"
        assert (await client.post(path, data=form(kind="event", ref=ref))).status_code == 303
        assert (await shown(client, case_id))["timeline"] == []
        assert office.told[-1]["details"]["removed"] == f"event {event_id}"
        assert (await client.post(path, data=form(kind="event", ref=ref))).status_code == 303
        await client.post(f"/v1/cases/{case_id}/changes", json={"version": 1, "status": "closed"})
        refused = await client.post(f"/v1/cases/{case_id}/members", json={"event_ids": [event_id]})
        assert (refused.status_code, refused.json()["cure"]) == (409, "open it again first")


async def test_an_export_holds_raw_bytes_with_their_hashes_and_the_csv_the_same_hashes(
    office: Office,
) -> None:
    event_id = office.event(action="a.b", details={"n": 9_007_199_254_740_993})
    alert = office.alert(title="=cmd()")
    async with office.client() as client:
        case_id = await make(client)
        await add(client, case_id, event_ids=[event_id], alert_ids=[alert])
        answer = await client.get(f"/cases/{case_id}/export.json")
        assert f'filename="{case_id}.json"' in answer.headers["content-disposition"]
        whole = answer.json()
        CaseExport.model_validate(whole)
        (event,) = whole["events"]
        assert hashlib.sha256(event["raw"].encode()).hexdigest() == event["raw_sha256"]
        assert whole["alerts"][0]["alert"]["alert_id"] == alert
        for path in (f"/cases/{case_id}.csv", f"/cases/{case_id}/export.csv"):
            rows = list(csv.DictReader(io.StringIO((await client.get(path)).text)))
            by_kind = {row["kind"]: row for row in rows}
            assert by_kind["event"]["raw_sha256"] == event["raw_sha256"]
            assert by_kind["alert"]["what"] == "'=cmd()"
        page = (await client.get(f"/cases/{case_id}/export")).text
        assert event["raw_sha256"] in page


async def test_an_event_that_is_gone_stays_in_the_timeline_as_such(
    office: Office, store: Store
) -> None:
    event_id = office.event(tenant="forgetful", action="a.gone", user="jane")
    async with office.client(tenant="forgetful", kind="token") as client:
        case_id = await make(client)
        await add(client, case_id, event_ids=[event_id])
        store.command("DELETE FROM events WHERE tenant = 'forgetful'")
        (entry,) = (await shown(client, case_id))["timeline"]
        assert (entry["gone"], entry["what"], entry["who"]) == (True, "a.gone", "jane")
        assert "not stored any more" in (await client.get(f"/cases/{case_id}")).text


async def test_cases_are_listed_by_page_and_status(office: Office) -> None:
    async with office.client(tenant="lists", kind="token") as client:
        made = [await make(client, f"case {n}") for n in range(5)]
        await client.post(f"/v1/cases/{made[0]}/changes", json={"version": 1, "status": "closed"})
        found: list[str] = []
        cursor: str | None = None
        while True:
            asked: dict[str, Any] = {"limit": 2, "status": "open"}
            asked |= {"cursor": cursor} if cursor else {}
            page = (await client.get("/v1/cases", params=asked)).json()
            CasePage.model_validate(page)
            found += [case["case_id"] for case in page["cases"]]
            cursor = page["next"]
            if cursor is None:
                break
        closed = (await client.get("/cases.json?status=closed")).json()
        empty = (await client.get("/cases?owner=nobody-has-this")).text
    assert found == made[:0:-1]
    assert [case["case_id"] for case in closed["cases"]] == made[:1]
    assert "No open cases" in empty
