"""Reports on a real store: the facts, their links, who may make them, and what they never tell."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from cli.report import NAMES, texts_of
from console.access import Principal
from console.ports import Read
from console.query.compile import compile_query
from console.query.parse import parse
from console.reports.making import KINDS
from console.reports.part import select
from runtime.clickhouse import Store
from schemas.report import Report, lines_of
from tests.integration.api.stored import NOW_MS, event, line, put
from tests.integration.api.test_questions import Only

HOSTILE = '=cmd|"/c calc"!A1 <script>alert(1)</script>'
SCOPE = {"tenant": "clinic-r", "source": "reports"}
WHOLE = {"since": "all", "tenant": "clinic-r"}


def one(offset: int, action: str, columns: dict[str, Any], **said: Any) -> bytes:
    fields = {**SCOPE, "timestamp": "2025-10-10T08:00:00Z", "user": "nina", "action": action}
    return line(orjson.dumps({**fields, **said}), offset, **columns)


def login(offset: int, result: str, **said: Any) -> bytes:
    end = {"success": "success", "failure": "failed"}[result]
    columns = {"category": "authentication", "verb": "login", "result": result}
    return one(offset, f"authentication.login.{end}", columns, **said)


def chart(offset: int, verb: str, flags: tuple[str, ...] = (), **said: Any) -> bytes:
    columns = {
        "category": "data_access",
        "verb": verb,
        "result": "success",
        "flags": ["protected", *flags],
        "data_class": "phi",
    }
    given = {"resource": "charts", "resource_id": "pat-9", **said}
    return one(offset, f"data.record.{verb}ed", columns, **given)


@pytest.fixture(scope="module", autouse=True)
def reported(store: Store) -> Iterator[None]:
    granted = {
        "category": "permission",
        "verb": "grant",
        "result": "success",
        "changed": [""],
        "before": ['"agent"'],
        "after": ['"admin"'],
    }
    given = {"before": "agent", "after": "admin", "role": "admin", "target_user": "tim"}
    lines = [
        login(800, "success", details={"mfa": True}),
        login(801, "success", details={"mfa": False}),
        login(802, "failure", user="tim"),
        one(810, "permission.role.granted", granted, role="admin", details=given),
        one(
            811,
            "permission.role.granted",
            granted,
            role="admin",
            details={**given, "approved_by": "boss"},
        ),
        one(
            812,
            "security.mfa.disabled",
            {"category": "security", "verb": "disable", "result": "success"},
            details={"scope": "all"},
        ),
        one(
            813,
            "security.audit.disabled",
            {"category": "security", "verb": "disable", "result": "success"},
            reason=HOSTILE,
        ),
        one(
            814,
            "data.record.viewed",
            {"category": "data_access", "verb": "view", "result": "denied"},
            resource="charts",
        ),
        one(
            815,
            "audit.events.searched",
            {"result": "success", "flags": ["read"]},
            details={"rows": 50},
        ),
        chart(820, "view", reason="treatment"),
        chart(821, "view", ("off_hours",), user="tim"),
        chart(822, "delete", user="tim", reason="asked by the patient"),
        chart(823, "view", ("break_glass",), user="firecall-1"),
        one(
            824,
            "data.export.completed",
            {"category": "export", "verb": "export", "result": "success", "flags": ["protected"]},
            user="tim",
            resource="charts",
            details={"record_count": 7, "patients": ["pat-9", "pat-10"]},
        ),
        event(825, **{**SCOPE, "timestamp": "2024-01-01T00:00:00Z", "user": "long.gone"}),
    ]
    put(store, lines, "reports")
    yield
    store.command("DELETE FROM events WHERE source = 'reports'")


async def make(client: httpx.AsyncClient, name: str, **asked: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/reports/{name}", params={**WHOLE, **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    Report.model_validate(found)
    return found


def figures(report: dict[str, Any], section: str) -> dict[str, Any]:
    (found,) = (one for one in report["sections"] if one["name"] == section)
    return {figure["name"]: figure["value"] for figure in found["figures"]}


def rows(report: dict[str, Any], section: str, number: int = 0) -> list[list[Any]]:
    (found,) = (one for one in report["sections"] if one["name"] == section)
    table: list[list[Any]] = found["tables"][number]["rows"]
    return table


async def test_access_control_report_tells_its_facts(ask: Any, seen: list[Read]) -> None:
    report = await make(ask(), "access-control")
    assert figures(report, "logins") == {"Logins": 2, "Failed": 1, "Denied": 0, "Accounts": 2}
    mfa = figures(report, "mfa")
    assert (mfa["Logins that say: with one"], mfa["Logins that say: without"]) == (1, 1)
    assert rows(report, "mfa")[0][2] == "security.mfa.disabled"
    rights = figures(report, "rights")
    assert (rights["Changes"], rights["Granted"], rights["Name nobody who approved"]) == (2, 2, 1)
    assert {row[6] for row in rows(report, "rights")} == {"", "boss"}
    assert rows(report, "rights")[0][5] == "role: agent → admin"
    assert figures(report, "administrators")["Made administrator"] == 2
    assert [row[0] for row in rows(report, "accounts")] == ["long.gone"]
    assert figures(report, "denied")["Denied"] == 1
    assert figures(report, "log-settings")["Logging switched off"] == 1
    assert figures(report, "integrity")["Ledger difference, now"] == 0
    assert rows(report, "readers")[0][:4] == ["nina", "audit.events.searched", 1, 50]
    assert [(read.path, read.asked["tenant"]) for read in seen] == [
        ("/v1/reports/access-control", "clinic-r")
    ]
    assert report["proof"]["is_whole"] is True
    assert report["rule_sets"] == []


async def test_protected_records_report_tells_its_facts(ask: Any) -> None:
    report = await make(ask(), "protected-records")
    assert figures(report, "people")["Accesses"] == 5
    assert figures(report, "people")["People and services"] == 3
    assert figures(report, "reasons")["Without a reason"] == 3
    glass = figures(report, "break-glass")
    assert (glass["Accesses"], glass["Without a reason"]) == (1, 1)
    assert figures(report, "exports")["Records in them"] == 7
    assert figures(report, "off-hours")["Accesses"] == 1
    assert {section["name"] for section in report["sections"]} >= {"integrity", "readers"}


async def test_data_subject_report_finds_a_person_as_actor_and_as_subject(ask: Any) -> None:
    report = await make(ask(), "data-subject", person="pat-9")
    assert figures(report, "actor")["Events"] == 0
    assert figures(report, "subject") == {"Events": 5, "People and services": 3}
    assert figures(report, "exports")["Events"] == 1
    assert rows(report, "erased")[0][1:3] == ["tim", "data.record.deleteed"]
    actor = await make(ask(), "data-subject", person="tim")
    assert figures(actor, "actor")["Events"] == 4
    assert figures(actor, "subject")["Events"] == 2  # the roles that were given


@pytest.mark.parametrize("name", NAMES)
async def test_each_figure_leads_to_as_many_events(ask: Any, store: Store, name: str) -> None:
    person = {"person": "pat-9"} if name == "data-subject" else {}
    report = await make(ask(), name, **person)
    for section in report["sections"]:
        for figure in section["figures"]:
            if figure["query"] is None or figure["name"] in NOT_EVENTS:
                continue
            found = compile_query(parse(figure["query"]), NOW_MS * 1000)
            if "is:read" not in figure["query"]:
                found = found.also("action NOT LIKE 'audit.%.%ed'")
            query = select("count() AS n", found)
            counted = store.query(query.sql, query.parameters)[0]["n"]
            assert counted == figure["value"], (section["name"], figure["name"], figure["query"])


NOT_EVENTS = {
    "Accounts",
    "People",
    "People and services",
    "Records",
    "Records in them",
    "Sessions",
    "Reads",
}


@pytest.mark.parametrize("name", NAMES)
async def test_page_and_its_other_forms_say_the_same(ask: Any, name: str) -> None:
    asked = {**WHOLE, "person": "pat-9"} if name == "data-subject" else WHOLE
    client = ask()
    html = await client.get(f"/reports/{name}", params=asked, headers={"accept": "text/html"})
    assert html.status_code == 200
    assert "The ledger balances" in html.text
    assert "service-token" in html.text
    assert "<script>alert" not in html.text
    data = (await client.get(f"/reports/{name}.json", params=asked)).json()["report"]
    assert {**data, "generated_at": ""} == {**await make(client, name, **asked), "generated_at": ""}
    table = (await client.get(f"/reports/{name}.csv", params=asked)).text
    read = list(csv.DictReader(io.StringIO(table)))
    assert not [row for row in read for cell in row.values() if cell.startswith(("=", "+", "@"))]
    told = [(row["section"], row["name"], row["value"]) for row in read if row["kind"] == "figure"]
    assert told == [
        (section, name, str(value))
        for section, _, kind, name, value, _ in lines_of(data)
        if kind == "figure"
    ]
    assert any("The ledger balances" in text for text in texts_of(data))


async def test_list_names_each_report_and_the_command_knows_them_all(ask: Any) -> None:
    found = (await ask().get("/v1/reports")).json()["reports"]
    assert [kind["name"] for kind in found] == list(KINDS) == list(NAMES)
    html = (await ask().get("/reports", headers={"accept": "text/html"})).text
    assert all(f"/reports/{name}" in html for name in NAMES)


async def test_a_data_subject_must_be_named(ask: Any) -> None:
    assert (await ask().get("/v1/reports/data-subject")).json()["field"] == "person"
    html = (await ask().get("/reports/data-subject", headers={"accept": "text/html"})).text
    assert "Who is it about?" in html


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/reports/none", 404),
        ("/v1/reports/access-control?person=x", 400),
        ("/v1/reports/access-control?since=then", 400),
        ("/v1/reports/data-subject?person=x&resource=y", 400),
    ],
)
async def test_what_makes_no_sense_is_refused(ask: Any, path: str, status: int) -> None:
    assert (await ask().get(path)).status_code == status


@pytest.mark.parametrize("role", ["viewer", "administrator"])
@pytest.mark.parametrize("path", ["/reports", "/reports/access-control", "/v1/reports"])
async def test_roles_without_the_right_get_nothing(ask: Any, role: Any, path: str) -> None:
    client = ask(authenticator=Only(Principal("someone", frozenset({role}))))
    assert (await client.get(path)).status_code == 403


async def test_who_read_the_log_is_told_to_auditors_only(ask: Any) -> None:
    analyst = ask(authenticator=Only(Principal("ann", frozenset({"analyst"}))))
    report = await make(analyst, "access-control")
    (readers,) = (one for one in report["sections"] if one["name"] == "readers")
    assert readers["tables"] == []
    assert "auditor" in readers["says"]


async def test_another_tenant_gets_nothing_of_it_and_no_numbers_of_all(ask: Any) -> None:
    client = ask(tenant="acme")
    assert (await client.get("/v1/reports/access-control", params=WHOLE)).status_code == 403
    report = (await client.get("/v1/reports/access-control", params={"since": "all"})).json()
    assert "nina" not in orjson.dumps(report).decode()
    assert report["proof"]["received"] is None
    assert "quarantine" not in str([table["title"] for table in _tables(report)])


def _tables(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [table for section in report["sections"] for table in section["tables"]]


async def test_an_empty_period_is_a_whole_report_of_zeros(ask: Any) -> None:
    report = await make(ask(), "access-control", since="2001-01-01", until="2001-01-02")
    assert figures(report, "logins")["Logins"] == 0
    assert not any(table["rows"] for table in _tables(report))
