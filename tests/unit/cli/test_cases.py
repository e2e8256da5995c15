"""The commands `cases`: what they ask of the API, and what they say."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cases as module
from cli.cases import cases

ALERT = "ab" * 16
CASE: dict[str, Any] = {
    "case_id": "case-1",
    "changed": "2025-10-12T10:00:00Z",
    "severity": "high",
    "status": "open",
    "owner": None,
    "events": 1,
    "alerts": 0,
    "title": "\x1b[31mBurglary",
}
ENTRY: dict[str, Any] = {
    "at": "2025-10-12T09:00:00Z",
    "kind": "note",
    "who": "ann",
    "what": "guard \x1b[31mcalled",
    "note": None,
    "name": "",
}
FOUND: dict[str, Any] = {
    "case": CASE,
    "timeline": [ENTRY],
    "participants": {
        "users": [{"value": "jane", "count": 2}],
        "addresses": [],
        "sessions": [],
        "resources": [],
    },
    "events": [],
}


class Client:
    """An API that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def pages(self, path: str, _key: str, params: Any, _limit: int) -> list[dict[str, Any]]:
        self.asked.append((path, {k: v for k, v in params.items() if v is not None}))
        return [CASE]

    def get(self, path: str, _params: Any = None) -> dict[str, Any]:
        self.asked.append((path, None))
        return FOUND

    def post(self, path: str, body: Any) -> dict[str, Any]:
        self.asked.append((path, body))
        return {"case": CASE, "added": 1, "known": 2, "missing": ["9:9"]}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr(module, "open_client", lambda *_: made)
    return made


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(cases, args)
    return result.exit_code, result.output


def test_list_narrows_by_status_and_owner(client: Client) -> None:
    code, said = run("list", "--status", "open", "--owner", "ann")
    assert code == 0, said
    assert client.asked == [("/cases", {"status": "open", "owner": "ann"})]
    assert "Burglary" in said
    assert "\x1b" not in said


def test_show_prints_the_timeline_and_who_takes_part(client: Client) -> None:
    code, said = run("show", "case-1")
    assert code == 0, said
    assert client.asked == [("/cases/case-1", None)]
    for word in ("jane (2)", "called", "note"):
        assert word in said
    assert "\x1b" not in said


def test_add_tells_alerts_from_events_and_says_what_was_not_found(client: Client) -> None:
    code, said = run("add", "--case", "case-1", "--note", "n", "--by", "ann", "e-1", ALERT, "0:5")
    assert code == 0, said
    body = {"by": "ann", "event_ids": ["e-1", "0:5"], "alert_ids": [ALERT], "note": "n"}
    assert client.asked == [("/cases/case-1/members", body)]
    assert "1 added, 2 were in it already" in said
    assert "not found: 9:9" in said


def test_add_with_a_title_makes_the_case_first(client: Client) -> None:
    assert run("add", "--title", "Burglary", "e-1")[0] == 0
    assert client.asked[0] == ("/cases", {"title": "Burglary"})
    assert client.asked[1][0] == "/cases/case-1/members"


@pytest.mark.parametrize("given", [(), ("--case", "c", "--title", "t")])
def test_add_wants_a_case_or_a_title(client: Client, given: tuple[str, ...]) -> None:
    code, said = run("add", *given, "e-1")
    assert code == 2
    assert "either --case or" in said
    assert client.asked == []


def test_note_says_the_moment_that_it_is_about(client: Client) -> None:
    assert run("note", "case-1", "hm", "--at", "20m")[0] == 0
    assert client.asked == [("/cases/case-1/notes", {"text": "hm", "at": "20m"})]


def test_export_writes_one_file_or_to_the_terminal(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    code, said = run("export", "case-1", "--out", str(path))
    assert code == 0, said
    assert json.loads(path.read_text()) == FOUND
    assert json.loads(run("export", "case-1")[1]) == FOUND
    code, said = run("export", "case-1", "--out", str(tmp_path / "no" / "case.json"))
    assert code == 2
    assert client.asked[0] == ("/cases/case-1/export", None)
