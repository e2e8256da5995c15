"""The pages of an alert and of rules: what they show, and exceptions proposed there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from console.state import State
from runtime.clickhouse import Store
from tests.integration.api.office import Office, form, text_of

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m\"'&" + "w" * 300


@pytest.fixture
async def office(store: Store, tmp_path: Path) -> AsyncIterator[Office]:
    state = State(tmp_path / "office.sqlite3")
    await state.open()
    made = Office(store, state)
    yield made
    made.reader.close()
    await state.close()


async def test_an_alert_shows_its_events_in_order_its_runbook_and_who_was_told(
    office: Office,
) -> None:
    second = office.event(user="jane", timestamp="2025-10-12T09:59:00Z", action="b.second")
    first = office.event(user="jane", timestamp="2025-10-12T09:58:00Z", action="a.first")
    foreign = office.event(user="jane", tenant="elsewhere")
    one = office.alert(
        event_ids=(second, first, foreign),
        event_count=250,
        runbook="Look: audit search --user jane --since 24h\nThen phone.",
        why="Because.",
    )
    async with office.client() as client:
        data = (await client.get(f"/alerts/{one}.json")).json()
        html = (await client.get(f"/alerts/{one}")).text
        csv = (await client.get(f"/alerts/{one}.csv")).text
    assert [line["event_id"] for line in data["events"]] == [first, second]
    assert data["missing"] == [foreign]
    step = data["runbook"][0]
    assert (step["said"], step["command"]) == ("Look:", "audit search --user jane --since 24h")
    asked = parse_qs(urlsplit(step["link"]).query)["q"][0]
    assert asked.startswith("user:jane since:")
    assert data["runbook"][1] == {"said": "Then phone.", "command": None, "link": None}
    around = parse_qs(urlsplit(data["search"]).query)["q"][0]
    assert '"2025-10-12T09:58:00Z"' in around or "2025-10-12T09:58:00Z" in around
    said = text_of(html)
    assert "250 events behind it" in said
    assert "unassigned" in said
    assert "nobody's" not in said
    assert "Search for all 250" in said
    assert said.index("a.first") < said.index("b.second")
    assert "b.second" in csv
    assert office.seen[-1].path == "/alerts/{alert_id}"


async def test_related_alerts_are_those_of_the_same_user_address_session_or_rule(
    office: Office,
) -> None:
    me = office.alert(
        tenant="kin", user="jane", ip_address="203.0.113.1", session_id="s", rule_id="r1"
    )
    by_user = office.alert(tenant="kin", user="jane", rule_id="r2")
    by_address = office.alert(tenant="kin", user="x", ip_address="203.0.113.1", rule_id="r3")
    by_session = office.alert(tenant="kin", user="y", session_id="s", rule_id="r4")
    by_rule = office.alert(tenant="kin", user="z", rule_id="r1")
    repeat = office.alert(tenant="kin", lead=me, user="jane")
    office.alert(tenant="stranger", user="jane", rule_id="r1")
    async with office.client(tenant="kin") as client:
        data = (await client.get(f"/alerts/{me}.json")).json()
    found = {
        one["name"]: ([a["alert_id"] for a in one["alerts"]], one["total"])
        for one in data["related"]
    }
    assert found == {
        "user": ([by_user], 1),
        "address": ([by_address], 1),
        "session": ([by_session], 1),
        "rule": ([by_rule], 1),
    }
    assert data["members"]["total"] == 2
    assert repeat in [one["alert_id"] for one in data["members"]["alerts"]]


async def test_an_alert_of_a_group_says_that_the_others_have_events_of_their_own(
    office: Office,
) -> None:
    ids = [office.event(user="many") for _ in range(2)]
    first = office.alert(event_ids=(ids[0],), event_count=1, group="inc-audit.events-0-536")
    office.alert(lead=first, event_ids=(ids[1],), event_count=1)
    async with office.client() as client:
        data = (await client.get(f"/alerts/{first}.json")).json()
        html = (await client.get(f"/alerts/{first}")).text
    said = text_of(html)
    assert "1 event behind this alert alone" in said
    assert "1 more of its group has events of its own" in said
    assert "inc-audit.events-0-536" not in said
    asked = parse_qs(urlsplit(data["members"]["search"]).query)["q"][0]
    assert all(one in asked for one in ids)


async def test_who_may_not_read_events_sees_an_alert_without_them(office: Office) -> None:
    event_id = office.event(action="secret.action")
    one = office.alert(event_ids=(event_id,))
    async with office.client(kind="token", scope=frozenset({"read_alerts"})) as client:
        answer = await client.get(f"/alerts/{one}")
        assert answer.status_code == 200
        assert "secret.action" not in answer.text


async def test_a_false_positive_proposes_an_exception_and_is_recorded(office: Office) -> None:
    one = office.alert(user="jane*", action="a.b", ip_address="203.0.113.1")
    ends = "2025-12-31"
    async with office.client() as client:
        page = (await client.get(f"/alerts/{one}")).text
        assert "Propose an exception" in page
        answer = await client.post(
            f"/alerts/{one}/exception",
            data=form(
                where=["user", "action"],
                reason="a drill",
                owner="ann",
                expires=ends,
                false_positive="1",
            ),
        )
        assert answer.status_code == 200, answer.text
        said = text_of(answer.text)
        shown = (await client.get(f"/alerts/{one}.json")).json()
    assert "This is a proposal" in said
    assert "audit rules except rule" in said
    assert "exceptions/rule_" in said
    assert shown["alert"]["status"] == "false_positive"
    proposed, *changes = office.told
    assert proposed["action"] == "audit.exception.proposed"
    assert proposed["details"]["where"] == {"user": "jane*", "action": "a.b"}
    assert [change["action"] for change in changes] == [
        "security.alert.dismissed",
        "security.alert.noted",
    ]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"where": []}, "where"),
        ({"expires": "2025-01-01"}, "expires"),
        ({"expires": "2099-01-01"}, "expires"),
        ({"expires": "soon"}, "expires"),
        ({"reason": ""}, "reason"),
    ],
)
async def test_an_exception_needs_a_field_a_reason_and_an_end_that_lies_ahead(
    office: Office, fields: dict[str, object], wrong: str
) -> None:
    one = office.alert()
    given = {"where": ["user"], "reason": "x", "owner": "ann", "expires": "2025-12-31"}
    async with office.client() as client:
        answer = await client.post(
            f"/alerts/{one}/exception",
            data=form(**{**given, **fields}),
            headers={"accept": "application/json"},
        )
        assert (answer.status_code, answer.json()["field"]) == (400, wrong)
    assert office.told == []


async def test_a_rule_made_of_others_has_no_exception_and_says_what_to_do(office: Office) -> None:
    one = office.alert(rule_id="many")
    async with office.client() as client:
        assert "write a Sigma filter for rule" in (await client.get(f"/alerts/{one}")).text
        answer = await client.post(
            f"/alerts/{one}/exception",
            data=form(where=["user"], reason="x", owner="ann", expires="2025-12-31"),
        )
    assert answer.status_code == 409


async def test_hostile_text_in_every_field_of_an_alert_is_shown_as_text(office: Office) -> None:
    named = ("title", "summary", "runbook", "why", "user", "action", "resource", "session_id")
    fields: dict[str, Any] = dict.fromkeys(named, HOSTILE)
    fields |= {"group": HOSTILE, "tags": (HOSTILE,)}
    one = office.alert(tenant="hostile", ip_address=HOSTILE, **fields)
    async with office.client(tenant="hostile") as client:
        await client.post(
            "/alerts/changes", data=form(alert_id=one, do="assign", assignee=HOSTILE[:200])
        )
        for path in ("/alerts", f"/alerts/{one}", "/alerts?status=any&user=%3Cb%3E"):
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            assert "<script>alert" not in answer.text
            assert "\u202e" not in answer.text
            assert "\x1b" not in answer.text


async def test_rules_show_what_they_are_and_what_they_did(office: Office) -> None:
    lead = office.alert(tenant="ruled", recorded="2025-10-12T10:00:00.000Z")
    office.alert(tenant="ruled", lead=lead, recorded="2025-10-12T11:00:00.000Z")
    async with office.client(tenant="ruled") as client:
        rules = (await client.get("/v1/rules")).json()["rules"]
        assert [one["rule_id"] for one in rules] == ["many", "rule"]
        assert rules[1]["last_fired"] == "2025-10-12T11:00:00Z"
        assert rules[0]["last_fired"] is None
        page = text_of((await client.get("/rules?rule=rule")).text)
        assert "A drill." in page
        assert "It matters." in page
        assert "No rule matches" in (await client.get("/rules?text=zzz")).text
        assert "many,Many" in (await client.get("/rules.csv")).text
