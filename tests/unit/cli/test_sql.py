"""The command `sql`: what it asks of the API, and what it prints."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from cli import sql as module
from cli.sql import distinct, sql

FOUND: dict[str, Any] = {
    "columns": ["user", "n", "n"],
    "types": ["String", "UInt64", "UInt64"],
    "rows": [["\x1b[31meve", 3, None], ["=cmd()", 1, 2]],
    "more": True,
    "seconds": 0.1,
    "rows_read": 9,
}


class Api:
    """Answers with FOUND, and keeps what it was asked."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.asked: list[tuple[str, Any]] = []

    def post(self, path: str, body: Any) -> Any:
        self.asked.append((path, body))
        return self.found


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api(FOUND)
    monkeypatch.setattr(module, "open_client", lambda *_given: made)
    return made


def test_a_statement_and_its_period_are_asked_for(api: Api) -> None:
    done = CliRunner().invoke(sql, ["SELECT 1", "--since", "7d", "--limit", "2"])
    assert done.exit_code == 0, done.output
    asked = {"sql": "SELECT 1", "since": "7d", "until": "", "limit": 2}
    assert api.asked == [("/sql", asked)]
    assert "more than 2 rows" in done.stderr


def test_a_statement_may_come_from_a_pipe(api: Api) -> None:
    CliRunner().invoke(sql, ["-"], input="SELECT 2")
    assert api.asked[0][1]["sql"] == "SELECT 2"


def test_tables_show_no_control_characters(api: Api) -> None:
    printed = CliRunner().invoke(sql, ["SELECT 1"]).stdout
    assert api.asked
    assert "\x1b" not in printed
    assert "eve" in printed


def test_csv_has_each_column_and_no_formula(api: Api) -> None:
    printed = CliRunner().invoke(sql, ["SELECT 1", "--format", "csv"]).stdout.splitlines()
    assert api.asked
    assert printed[0] == "user,n,n_2"
    assert printed[2] == "'=cmd(),1,2"


def test_json_lines_are_objects_and_json_is_the_answer(api: Api) -> None:
    lines = CliRunner().invoke(sql, ["SELECT 1", "--format", "jsonl"]).stdout.splitlines()
    assert json.loads(lines[1]) == {"user": "=cmd()", "n": 1, "n_2": 2}
    assert json.loads(CliRunner().invoke(sql, ["SELECT 1", "--format", "json"]).stdout) == FOUND
    assert len(api.asked) == 2


def test_nothing_found_says_what_may_help(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Api({**FOUND, "rows": [], "more": False})
    monkeypatch.setattr(module, "open_client", lambda *_given: empty)
    assert "longer --since" in CliRunner().invoke(sql, ["SELECT 1"]).stderr


def test_columns_of_one_name_are_told_apart() -> None:
    assert distinct(["n", "n", "n_2", "n"]) == ["n", "n_2", "n_2_2", "n_3"]
