"""Who sees a case and changes it: tenants, roles, narrow tokens; each look is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.access import Permission
from console.state import State
from runtime.clickhouse import Store
from tests.integration.api.casework import add, make, shown
from tests.integration.api.office import Office, form

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m\"'&"


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> AsyncIterator[Office]:
    state = State(tmp_path / "office.sqlite3")
    await state.open()
    made = Office(store, state)
    yield made
    made.reader.close()
    await state.close()


async def test_another_tenant_sees_no_case_and_adds_nothing_to_it(office: Office) -> None:
    event_id, foreign = office.event(), office.event(tenant="another")
    async with office.client(kind="token") as client:
        case_id = await make(client)
        assert (await add(client, case_id, event_ids=[foreign]))["missing"] == [foreign]
        await add(client, case_id, event_ids=[event_id])
        other = await client.post("/v1/cases", json={"title": "x", "tenant": "another"})
        assert other.status_code == 403
    async with office.client("eve", tenant="another", kind="token") as eve:
        for path in ("", "/export"):
            assert (await eve.get(f"/v1/cases/{case_id}{path}")).status_code == 404
        for path, body in (
            ("changes", {"version": 1, "title": "x"}),
            ("members", {"event_ids": [foreign]}),
            ("members/remove", {"kind": "event", "ref": "x"}),
            ("notes", {"text": "x"}),
        ):
            answer = await eve.post(f"/v1/cases/{case_id}/{path}", json=body)
            assert answer.status_code == 404, path
        assert (await eve.get("/v1/cases")).json()["cases"] == []
    assert len(office.told) == 2


async def test_who_reaches_all_tenants_makes_the_case_for_that_of_what_is_added(
    office: Office,
) -> None:
    event_id, foreign = office.event(tenant="third"), office.event(tenant="fourth")
    async with office.client("root", "analyst", tenant=None) as client:
        answer = await client.post(
            "/cases/add", data=form(event_id=[event_id, foreign], title="Both")
        )
        assert answer.status_code == 303
        case_id = answer.headers["location"].split("?")[0].rpartition("/")[2]
        assert "missing=1" in answer.headers["location"]
        case = (await shown(client, case_id))["case"]
    assert (case["tenant"], case["events"]) == ("third", 1)


async def test_an_operators_case_of_no_tenant_holds_things_of_any_and_no_tenant_sees_it(
    office: Office,
) -> None:
    ids = [office.event(tenant="default"), office.event(tenant="fifth")]
    async with office.client("root", "analyst", tenant=None, kind="token") as client:
        case_id = await make(client)
        added = await client.post(f"/v1/cases/{case_id}/members", json={"event_ids": ids})
        assert (added.json()["added"], added.json()["missing"]) == (2, [])
        assert len((await shown(client, case_id))["timeline"]) == 2
    assert {one["tenant"] for one in office.told} == {"audit-console"}
    for tenant in ("default", "fifth"):
        async with office.client("eve", tenant=tenant, kind="token") as eve:
            assert (await eve.get(f"/v1/cases/{case_id}")).status_code == 404
            assert (await eve.get("/v1/cases")).json()["cases"] == []


async def test_wrong_roles_read_or_change_nothing(office: Office) -> None:
    async with office.client(kind="token") as client:
        case_id = await make(client)
    office.told.clear()
    async with office.client("vic", "viewer", kind="token") as viewer:
        assert (await viewer.get("/v1/cases")).status_code == 403
        assert (await viewer.get(f"/cases/{case_id}")).status_code == 403
    async with office.client("aud", "auditor", kind="token") as auditor:
        assert (await auditor.get(f"/cases/{case_id}")).status_code == 200
        for path, body in (
            ("", {"title": "x"}),
            (f"/{case_id}/notes", {"text": "x"}),
            (f"/{case_id}/changes", {"version": 1, "title": "x"}),
        ):
            assert (await auditor.post(f"/v1/cases{path}", json=body)).status_code == 403
    async with office.client("adm", "administrator", kind="token") as administrator:
        assert (await administrator.get("/v1/cases")).status_code == 403
    assert office.told == []


async def test_a_token_for_cases_alone_sees_members_but_not_what_they_say(office: Office) -> None:
    event_id = office.event(action="a.b", ip_address="203.0.113.99")
    async with office.client(kind="token") as client:
        case_id = await make(client)
        await add(client, case_id, event_ids=[event_id])
    only: frozenset[Permission] = frozenset({"read_cases", "export"})
    async with office.client("narrow", kind="token", scope=only) as narrow:
        found = await shown(narrow, case_id)
        assert found["timeline"][0]["gone"]
        assert "203.0.113.99" not in str(found)
        exported = (await narrow.get(f"/v1/cases/{case_id}/export")).json()
        assert exported["events"] == []


async def test_hostile_text_in_a_case_is_shown_as_text(office: Office) -> None:
    event_id = office.event(action=HOSTILE, user=HOSTILE, resource=HOSTILE, session_id=HOSTILE)
    async with office.client() as client:
        case_id = await make(client, HOSTILE, owner=HOSTILE)
        await add(client, case_id, event_ids=[event_id], note=HOSTILE)
        await client.post(f"/cases/{case_id}/notes", data=form(text=HOSTILE))
        for path in ("/cases", f"/cases/{case_id}", f"/cases/{case_id}/export"):
            answer = await client.get(path)
            assert answer.status_code == 200
            for bad in ("<script>alert", "\u202e", "\x1b"):
                assert bad not in answer.text


async def test_every_look_at_alerts_rules_and_cases_is_told_of_exactly_once(
    office: Office,
) -> None:
    event_id = office.event()
    alert = office.alert(event_ids=(event_id,))
    async with office.client(kind="token") as client:
        case_id = await make(client)
        await add(client, case_id, event_ids=[event_id], alert_ids=[alert])
        pages = (
            "/alerts",
            f"/alerts/{alert}",
            "/rules",
            "/cases",
            f"/cases/{case_id}",
            f"/cases/{case_id}/export",
        )
        rest = ("/v1/rules", "/v1/cases", f"/v1/cases/{case_id}", f"/v1/cases/{case_id}/export")
        for path in [*(page + form for page in pages for form in ("", ".json", ".csv")), *rest]:
            office.seen.clear()
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert len(office.seen) == 1, path
