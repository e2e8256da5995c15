"""The command `report`: what it asks of the API, and what it prints."""

import csv
import json
from typing import Any

import pytest
from click.testing import CliRunner

from cli import report as module
from cli.report import report

FOUND: dict[str, Any] = {
    "name": "access-control",
    "title": "Access control",
    "about": "SOC 2",
    "since": None,
    "until": "2025-10-12T00:00:00Z",
    "scope": {},
    "tenant": None,
    "query": "tenant:acme",
    "generated_at": "2025-10-12T00:00:00Z",
    "generated_by": "ann",
    "software": "1.0",
    "rule_sets": ["a"],
    "proof": {"sentence": "The ledger balances."},
    "sections": [
        {
            "name": "logins",
            "title": "Logins",
            "controls": ["CC6.1", "A.8.5"],
            "says": "Who came in.",
            "figures": [
                {
                    "name": "Failed",
                    "value": 1_234,
                    "query": "result:failed",
                    "page": None,
                    "note": "",
                },
                {"name": "Unknown", "value": None, "query": None, "page": "/x", "note": "too long"},
            ],
            "tables": [
                {
                    "title": "Worst",
                    "columns": ["user", "count"],
                    "rows": [["\x1b[31meve", 3], ["", 1]],
                    "queries": ["user:eve", None],
                    "total": 9,
                    "empty": "",
                }
            ],
        }
    ],
}


class Client:
    """An API that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def get(self, path: str, params: Any = None) -> dict[str, Any]:
        self.asked.append((path, {k: v for k, v in params.items() if v is not None}))
        return FOUND


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr(module, "open_client", lambda *_: made)
    return made


def run(*args: str) -> str:
    result = CliRunner().invoke(report, args)
    assert result.exit_code == 0, result.output
    return result.output


def test_report_asks_for_its_period_and_scope_and_prints_each_figure(client: Client) -> None:
    said = run("access-control", "--since", "7d", "--tenant", "acme", "--user", "eve")
    asked = {"since": "7d", "tenant": "acme", "user": "eve"}
    assert client.asked == [("/reports/access-control", asked)]
    for text in ("Logins  [CC6.1, A.8.5]", "1,234", "too long", "count: 3", "… and more"):
        assert text in said
    assert "\x1b" not in said


@pytest.mark.usefixtures("client")
def test_report_as_csv_has_the_rows_of_the_page() -> None:
    rows = list(csv.DictReader(run("access-control", "--format", "csv").splitlines()))
    assert rows[0]["value"] == "Access control"
    (figure,) = [row for row in rows if row["name"] == "Failed"]
    assert (figure["controls"], figure["value"]) == ("CC6.1; A.8.5", "1234")
    assert figure["query"] == "result:failed"
    assert [row["value"] for row in rows if row["kind"] == "row"] == [
        "user: \\x1b[31meve; count: 3",
        "count: 1",
    ]


@pytest.mark.usefixtures("client")
def test_report_as_json_is_what_the_api_answered() -> None:
    assert json.loads(run("access-control", "--format", "json")) == FOUND


def test_an_unknown_report_is_refused(client: Client) -> None:
    assert CliRunner().invoke(report, ["no-such"]).exit_code == 2
    assert client.asked == []
