"""The questions of the seed, through their pages on a real store."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from console.access import Principal
from console.entities import everything
from console.ports import Read
from runtime.clickhouse import Store
from tests.integration.api.stored import SEED, event, line, put

HOSTILE = "<script>alert(1)</script>\"'\u202egnp.exe\x1b[31m"
CLINIC = {"tenant": "clinic-q", "source": "questions"}


def access(offset: int, user: str, **fields: Any) -> bytes:
    said = {"action": "data.record.viewed", "resource": "charts", "resource_id": "chart-1"}
    return event(offset, **{**CLINIC, **said, "user": user, **fields})


@pytest.fixture(scope="module", autouse=True)
def asked_about(store: Store) -> Iterator[None]:
    jane = "jane.roe@clinic.org"
    at = "2025-10-11T10:0{}:00Z".format
    lines = [
        access(700, jane, timestamp=at(0), result="success", reason="treatment", session_id="q-1"),
        access(701, jane, timestamp=at(1), result="success", ip_address="198.51.100.7"),
        access(702, jane, timestamp=at(2), result="success"),
        access(703, jane, timestamp=at(3), result="denied"),
        access(704, "bob@clinic.org", timestamp=at(4), result="success", on_behalf_of="dr.no"),
        access(
            705, "eve@clinic.org", timestamp=at(5), result="success", details={"break_glass": True}
        ),
        access(706, "mallory", timestamp=at(6), result="denied"),
    ]
    for n, (old, new) in enumerate((("30 days", "90 days"), ("90 days", "7 days"))):
        said = {
            **CLINIC,
            "timestamp": f"2025-10-0{n + 3}T00:00:00Z",
            "user": f"changer{n}",
            "action": "settings.retention_policy.updated",
            "resource": "charts_kept",
            "details": {"before": old, "after": new, "reason": f"why {n}"},
        }
        changed = {"changed": [""], "before": [f'"{old}"'], "after": [f'"{new}"']}
        lines.append(line(orjson.dumps(said), 710 + n, verb="update", result="success", **changed))
    hostile = {**CLINIC, "resource": HOSTILE, "resource_id": HOSTILE, "session_id": HOSTILE}
    lines.append(event(720, **hostile, user=HOSTILE, reason=HOSTILE, details={"before": HOSTILE}))
    put(store, lines, "questions")
    yield
    store.command("DELETE FROM events WHERE source = 'questions'")


async def get(client: httpx.AsyncClient, path: str, **asked: Any) -> Any:
    answer = await client.get(path, params=asked or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def page(client: httpx.AsyncClient, path: str, **asked: Any) -> str:
    answer = await client.get(path, params=asked or None, headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_who_changed_the_seeds_setting_and_when(ask: Any, seen: list[Read]) -> None:
    found = await get(ask(), "/resources.json", resource="voice_recordings")
    (change,) = found["history"]["changes"]
    assert change["user"] == "admin@company.com"
    assert change["timestamp"] == "2025-10-11T15:45:30Z"
    assert change["reason"] == "compliance requirement update"
    (diff,) = change["changes"]
    assert (diff["before"], diff["after"]) == ("90 days", "180 days")
    assert [read.path for read in seen] == ["/resources"]
    html = await page(ask(), "/resources", resource="voice_recordings")
    assert "<mark>90</mark> days" in html
    assert "<mark>180</mark> days" in html
    assert f"/events/{change['event_id']}" in html


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        ("2025-10-01", "30 days", "as found"),
        ("2025-10-03T00:00:00Z", "90 days", "set"),
        ("2025-10-03T12:00:00Z", "90 days", "set"),
        ("2025-10-12", "7 days", "set"),
    ],
)
async def test_value_of_a_setting_at_any_moment(ask: Any, at: str, value: str, said: str) -> None:
    found = await get(ask(), "/resources.json", resource="charts_kept", at=at)
    (told,) = found["value"]["values"]
    assert (told["value"], told["said"]) == (value, said)
    assert value in await page(ask(), "/resources", resource="charts_kept", at=at)


async def test_history_is_newest_first_with_reasons_and_as_csv(ask: Any) -> None:
    found = await get(ask(), "/resources.json", resource="charts_kept")
    assert [change["reason"] for change in found["history"]["changes"]] == ["why 1", "why 0"]
    table = (await ask().get("/resources.csv", params={"resource": "charts_kept"})).text
    assert "90 days,7 days,why 1" in table


async def test_more_events_than_are_counted_change_nothing_of_the_history(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await get(ask(), "/resources.json", resource="charts_kept")
    monkeypatch.setattr(everything, "COUNTED_MAX", 1)
    monkeypatch.setattr(everything, "MANY", 2)
    many = await get(ask(), "/resources.json", resource="charts_kept")
    assert (few["events"], few["events_are_more"], few["changes"]) == (2, False, 2)
    assert (many["events"], many["events_are_more"], many["counted"]) == (1, True, 1)
    assert many["history"] == few["history"]
    assert "newest 1 events" in await page(ask(), "/resources", resource="charts_kept")


async def test_did_this_user_access_this_data_and_who_else_did(ask: Any, seen: list[Read]) -> None:
    asked = {"resource": "charts", "resource_id": "chart-1", "user": "jane.roe@clinic.org"}
    found = await get(ask(), "/access.json", **asked)
    assert found["yes"] is True
    assert found["verdict"] == (
        "Yes: jane.roe@clinic.org accessed this one record chart-1 of charts 3 times between the "
        "beginning and now, last at 2025-10-11 10:02:00 UTC. 1 attempt was denied. 3 people "
        "else did."
    )
    people = {person["user"]: person for person in found["people"]}
    assert (people["mallory"]["done"], people["mallory"]["denied"]) == (0, 1)
    assert people["bob@clinic.org"]["on_behalf_of"] == ["dr.no"]
    assert people["jane.roe@clinic.org"]["reasons"] == ["treatment"]
    assert seen[-1].path == "/access"
    assert seen[-1].rows == 4
    assert "3 times" in await page(ask(), "/access", **asked)


async def test_no_to_one_record_says_what_is_known_of_the_whole_resource(ask: Any) -> None:
    asked = {"resource": "charts", "resource_id": "other", "user": "jane.roe@clinic.org"}
    found = await get(ask(), "/access.json", **asked)
    assert found["verdict"].startswith(
        "No event says that jane.roe@clinic.org accessed this one record other of charts"
    )
    assert found["elsewhere"]["done"] == 3
    html = await page(ask(), "/access", **asked)
    assert "To other records of charts: 3 times, last at 2025-10-11 10:02:00 UTC." in html
    assert "/access?resource=charts&amp;user=jane.roe%40clinic.org&amp;since=all" in html


@pytest.mark.parametrize("path", ["/access", "/resources", "/search"])
async def test_a_record_leads_to_its_whole_resource(ask: Any, path: str) -> None:
    asked = {"resource": "charts", "resource_id": "chart-1"}
    asked = {"q": "resource_id:chart-1"} if path == "/search" else asked
    html = await page(ask(), path, **asked)
    assert 'href="/resources?resource=charts"' in html


async def test_only_marked_changes_are_shown_where_asked(ask: Any) -> None:
    found = await get(ask(), "/resources.json", resource="charts_kept", marked="true")
    assert found["history"]["changes"] == []
    html = await page(ask(), "/resources", resource="charts_kept", marked="true")
    assert "No change of this period is marked" in html
    assert "All changes" in html
    assert "Only marked" in await page(ask(), "/resources", resource="charts_kept")


async def test_timeline_of_an_event_is_of_everyone_and_can_be_narrowed(ask: Any) -> None:
    (event,) = (await get(ask(), "/search.json", q="session:q-1"))["events"]
    html = await page(ask(), f"/events/{event['event_id']}")
    assert 'href="/timeline?at=2025-10-11T10%3A00%3A00Z"' in html
    asked = {"at": event["timestamp"], "minutes": 2}
    assert "Only its" in await page(ask(), "/timeline", **asked)
    narrow = await page(ask(), "/timeline", **asked, user="jane.roe@clinic.org")
    assert "Narrowed to" in narrow
    assert 'aria-label="Remove User jane.roe@clinic.org"' in narrow
    assert "everything in order" not in narrow


async def test_who_did_not_is_told_with_the_ledgers_word(ask: Any) -> None:
    asked = {"resource": "charts", "user": "nobody", "since": "2025-10-01", "until": "2025-10-12"}
    found = await get(ask(), "/access.json", **asked)
    assert found["yes"] is False
    assert found["verdict"] == (
        "No event says that nobody accessed charts between 2025-10-01 00:00:00 and "
        "2025-10-12 00:00:00, and the ledger has no gap in that time. 4 people else did."
    )


async def test_emergency_access_of_a_record_is_marked(ask: Any) -> None:
    found = await get(ask(), "/access.json", resource="charts", resource_id="chart-1")
    people = {person["user"]: person for person in found["people"]}
    assert people["eve@clinic.org"]["break_glass"] == 1
    assert people["eve@clinic.org"]["break_glass_without_reason"] == 1
    assert people["bob@clinic.org"]["break_glass"] == 0


async def test_what_happened_around_a_moment_in_order(ask: Any, seen: list[Read]) -> None:
    found = await get(ask(), "/timeline.json", at="2025-10-11T10:03:30Z", minutes=2)
    entries = [entry for group in found["groups"] for entry in group["entries"]]
    told = [(entry["kind"], entry.get("user")) for entry in entries]
    assert told == [
        ("event", "jane.roe@clinic.org"),
        ("event", "jane.roe@clinic.org"),
        ("moment", None),
        ("event", "bob@clinic.org"),
        ("event", "eve@clinic.org"),
    ]
    assert [entry["tone"] for entry in entries] == ["", "bad", "here", "", ""]
    assert [group["minute"][11:16] for group in found["groups"]] == [
        "10:02", "10:03", "10:04", "10:05",
    ]  # fmt: skip
    assert seen[-1].path == "/timeline"


async def test_timeline_shows_changes_and_alerts_and_can_leave_out_the_everyday(ask: Any) -> None:
    found = await get(ask(), "/timeline.json", at="2025-10-11T15:00:00Z", minutes=60)
    entries = [entry for group in found["groups"] for entry in group["entries"]]
    assert {entry.get("action") for entry in entries} >= {
        "data.export.completed",
        "settings.retention_policy.updated",
    }
    only = await get(ask(), "/timeline.json", at="2025-10-11T15:00:00Z", minutes=60, notable="true")
    assert {entry.get("action") for group in only["groups"] for entry in group["entries"]} == {
        None,
        "settings.retention_policy.updated",
    }
    alerted = await get(ask(), "/timeline.json", at="2025-10-12T10:00:00Z", minutes=1)
    assert alerted["alerts"] == 5


@pytest.mark.parametrize(
    "asked",
    [
        {"user": "jane.roe@clinic.org"},
        {"resource": "charts"},
        {"session": "q-1"},
        {"ip": "198.51.100.7"},
    ],
)
async def test_timeline_of_one_thing_has_only_its_events(ask: Any, asked: dict[str, str]) -> None:
    found = await get(ask(), "/timeline.json", at="2025-10-11T10:00:00Z", minutes=30, **asked)
    name, value = next(iter(asked.items()))
    column = {"ip": "ip_address", "session": "session_id"}.get(name, name)
    entries = [entry for group in found["groups"] for entry in group["entries"]]
    own = [entry for entry in entries if entry["kind"] == "event"]
    assert own
    assert {entry[column] for entry in own} == {value}


async def test_everything_of_a_user(ask: Any, seen: list[Read]) -> None:
    found = await get(ask(), "/users/jane.roe@clinic.org.json")
    assert found["events"] == 4
    assert found["first_seen"] == "2025-10-11T10:00:00Z"
    facets = {facet["field"]: facet for facet in found["facets"]}
    results = {value["value"]: value["count"] for value in facets["result"]["values"]}
    assert results == {"success": 3, "denied": 1}
    assert facets["resource"]["values"][0]["part"] == "chart-1"
    assert found["sessions"][0]["session_id"] == "q-1"
    assert found["hours"][5][10] == 4  # a Saturday
    assert found["usual"] == "mostly 10:00 to 11:00 UTC, 100% on weekends"
    assert [read.path for read in seen] == ["/users/{user}"]
    html = await page(ask(), "/users/jane.roe@clinic.org")
    assert "/search?q=user%3Ajane.roe%40clinic.org" in html


@pytest.mark.parametrize(
    ("path", "events"),
    [
        ("/addresses/198.51.100.7", 1),
        ("/addresses/203.0.113.42", 4),
        ("/sessions/sess_xyz789", 2),
        ("/sessions/q-1", 1),
    ],
)
async def test_everything_of_an_address_or_a_session(ask: Any, path: str, events: int) -> None:
    assert (await get(ask(), f"{path}.json", since="all"))["events"] == events
    await page(ask(), path, since="all")


async def test_seed_examples_are_each_found_on_their_pages(ask: Any) -> None:
    said = [orjson.loads(raw) for raw in SEED]
    for one in said:
        shown = await get(ask(), f"/users/{one['user']}.json")
        assert one["action"] in {event["action"] for event in shown["newest"]}
    export = await get(ask(), "/access.json", resource="voice_call_records")
    assert [person["user"] for person in export["people"]] == ["admin@company.com"]


PATHS = (
    "/users/jane.roe@clinic.org.json",
    "/addresses/198.51.100.7.json",
    "/sessions/q-1.json",
    "/resources.json?resource=charts",
    "/access.json?resource=charts",
    "/timeline.json?at=2025-10-11T10:03:00Z",
)


@pytest.mark.parametrize("path", PATHS)
async def test_another_tenant_sees_nothing(ask: Any, path: str) -> None:
    found = (await ask(tenant="acme").get(path)).json()
    assert not found.get("events")
    assert not found.get("people")
    assert "jane.roe@clinic.org" not in str(found.get("newest") or found.get("people") or "")
    own = (await ask(tenant="clinic-q").get(path)).json()
    assert own.get("events") or own.get("people")


class Only:
    """An authenticator that knows one principal."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def by_token(self, token: str, client: str) -> Principal | None:
        del token, client
        return self._principal

    async def by_session(self, cookie: str, client: str) -> Principal | None:
        del cookie, client
        return None


@pytest.mark.parametrize("path", PATHS)
async def test_administrators_who_read_no_events_are_refused(ask: Any, path: str) -> None:
    client = ask(authenticator=Only(Principal("root", frozenset({"administrator"}))))
    assert (await client.get(path)).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/users/nobody",
        "/addresses/192.0.2.1",
        "/sessions/none",
        "/resources?resource=none",
        "/resources?since=1s",
        "/access?resource=none",
        "/access",
        "/timeline?at=1999-01-01",
        "/users/jane.roe@clinic.org?since=1s",
    ],
)
async def test_nothing_found_is_a_page_of_its_own(ask: Any, path: str) -> None:
    html = await page(ask(), path)
    assert 'class="state' in html


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/addresses/nonsense", 404),
        ("/addresses/::", 404),
        ("/users/x?since=yesterday", 400),
        ("/users/x?since=2025-10-12&until=2025-10-11", 400),
        ("/users/x?colour=red", 400),
        ("/timeline?minutes=0", 400),
        ("/timeline?ip=nonsense", 404),
        ("/resources?resource=x&at=then", 400),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(ask: Any, path: str, status: int) -> None:
    assert (await ask().get(path)).status_code == status


@pytest.mark.parametrize(
    "path",
    ["/users/{}", "/sessions/{}", "/resources?resource={}", "/access?resource={}", "/timeline"],
)
async def test_hostile_content_shows_as_text(ask: Any, path: str) -> None:
    asked = str(httpx.URL("http://x").copy_with(params={"n": HOSTILE}).query, "ascii")[2:]
    asked = asked.replace("+", "%20")
    address = path.format(asked)
    if path == "/timeline":
        address = "/timeline?at=2025-10-10T00:00:00Z&minutes=5"
    html = await page(ask(), address)
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert "\u202e" not in html
    assert "\x1b" not in html


async def test_values_in_a_table_are_no_formulas(ask: Any) -> None:
    table = (await ask().get("/timeline.csv", params={"at": "2025-10-11T15:00:00Z"})).text
    assert table.splitlines()[0].startswith("timestamp,kind,user")
    assert not base64.b64encode(table.encode()).startswith(b"PQ")  # "="
