"""The command `alerts`: alone it lists, with an id it shows, with a command it works."""

from typing import Any

import pytest
from click.testing import CliRunner

from cli import alert_work
from cli import alerts as module
from cli.alerts import alerts

ID = "ab" * 16
ROW: dict[str, Any] = {
    "alert_id": ID,
    "occurred": "2025-10-12T10:00:00Z",
    "last": "2025-10-12T11:00:00Z",
    "historical": False,
    "severity": "high",
    "title": "\x1b[31mtitle",
    "user": "jane",
    "ip_address": None,
    "resource": None,
    "group": "user=jane",
    "event_ids": ["e1"],
    "status": "acknowledged",
    "assignee": "ann",
    "alerts": 7,
}


class Client:
    """An API that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def pages(self, path: str, _key: str, params: Any, _limit: int) -> list[dict[str, Any]]:
        self.asked.append((path, {k: v for k, v in params.items() if v is not None}))
        return [ROW]

    def get(self, path: str, params: Any = None) -> dict[str, Any]:
        self.asked.append((path, params))
        return {"targets": []}

    def post(self, path: str, body: Any) -> dict[str, Any]:
        self.asked.append((path, body))
        change = {"kind": "status", "value": "resolved", "before": "open"}
        return {"alert_id": ID, "changes": [change], "audited": True}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    for where in (module, alert_work):
        monkeypatch.setattr(where, "open_client", lambda *_: made)

    def show(_client: Client, alert_id: str, **given: bool) -> None:
        made.asked.append(("show", (alert_id, given)))

    monkeypatch.setattr(module, "show_alert", show)
    return made


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(alerts, args)
    return result.exit_code, result.output


def test_alone_it_lists_every_alert(client: Client) -> None:
    code, said = run("--severity", "high", "--suppressed")
    assert code == 0
    assert client.asked == [("/alerts", {"severity": "high", "suppressed": True})]
    assert "\x1b" not in said


def test_list_asks_for_the_first_of_each_group_that_is_not_closed(client: Client) -> None:
    code, said = run("list")
    assert code == 0
    assert client.asked == [("/alerts", {"grouped": True, "status": "active"})]
    for word in ("acknowledged", "ann", "7"):
        assert word in said
    run("list", "--all")
    assert client.asked[1] == ("/alerts", {"grouped": True})


@pytest.mark.parametrize("args", [(ID,), ("--json", ID), (ID, "--json"), ("show", ID)])
def test_an_id_alone_shows_that_alert(client: Client, args: tuple[str, ...]) -> None:
    code, said = run(*args)
    assert code == 0, said
    assert client.asked == [("show", (ID, {"as_json": "--json" in args}))]


@pytest.mark.parametrize(
    ("args", "body"),
    [
        (("ack", ID), {"status": "acknowledged"}),
        (("assign", ID, ""), {"assignee": ""}),
        (("resolve", ID, "--note", "done"), {"status": "resolved", "note": "done"}),
        (("resolve", ID, "--false-positive"), {"status": "false_positive"}),
        (("reopen", ID), {"status": "open"}),
        (("note", ID, "hm"), {"note": "hm"}),
    ],
)
def test_a_command_changes_what_it_says_and_who_did_it(
    client: Client, args: tuple[str, ...], body: dict[str, str]
) -> None:
    code, said = run(*args, "--by", "ann")
    assert code == 0, said
    assert client.asked == [(f"/alerts/{ID}/changes", {**body, "by": "ann"})]
    assert "status: resolved (was open)" in said


def test_stats_name_the_rule_by_its_title(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"rule_id": "5f0c2e52", "title": "Login at night", "alerts": 3, "groups": 1}
    row |= {"suppressed": 0, "historical": 0, "worst": "high"}
    monkeypatch.setattr(client, "get", lambda *_: {"rules": [row], "statuses": []})
    code, said = run("stats")
    assert code == 0, said
    assert "Login at night" in said


def test_place_of_an_alert_on_alerts_is_that_of_an_event_if_it_has_one(client: Client) -> None:
    inner = "ab" * 16
    for event_ids, at in (([inner, "e-1"], "e-1"), ([inner], inner)):
        client.pages = lambda *_, ids=event_ids: [{**ROW, "event_ids": ids}]  # type: ignore[method-assign]
        code, said = run()
        assert code == 0, said
        assert at in said


def test_options_before_the_command_are_refused_not_lost(client: Client) -> None:
    code, said = run("--json", "list")
    assert code == 2
    assert "write the options after" in said
    assert client.asked == []
