"""`audit rules …`: what a detection engineer types, without a service."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from cli import rules_backtest
from cli.client import Refused
from cli.main import main
from cli.read import search
from cli.rule_folder import read_folder
from console.search.scan import MEMBERS
from detections.rule_lint import SEARCH_OPTIONS
from detections.sigma.load import load_rules
from detections.sigma.vocabulary import PLACEHOLDERS


def run(*args: str, **kwargs: Any) -> Result:
    return CliRunner().invoke(main, ["rules", *args], **kwargs)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = run("new", "login-at-night", "--in", str(tmp_path))
    assert made.exit_code == 0, made.output
    finish(tmp_path / "login_at_night.yml")
    return tmp_path


def finish(path: Path) -> None:
    """Write what `rules new` leaves to the author."""
    text = path.read_text()
    for mark in PLACEHOLDERS:
        text = text.replace(mark, "Written.")
    path.write_text(text)


def test_lint_knows_the_options_of_search() -> None:
    options = {o for p in search.params if isinstance(p, click.Option) for o in p.opts}
    known = {name.removeprefix("--") for name in options}
    assert known - {"api", "data", "token-file"} == SEARCH_OPTIONS


def test_list_shows_rules_of_a_technique() -> None:
    listed = json.loads(run("list", "--tag", "t1110.003", "--json").stdout)
    found = {rule["rule"] for rule in listed["rules"]}
    assert "password-spray" in found
    assert all("T1110.003" in rule["techniques"] for rule in listed["rules"])
    assert "password-spray" in run("list").stdout


@pytest.mark.parametrize("kind", ["event", "correlation", "behaviour"])
def test_new_rule_passes_its_tests_and_lint(tmp_path: Path, kind: str) -> None:
    assert run("new", "my-own", "--kind", kind, "--in", str(tmp_path)).exit_code == 0
    finish(tmp_path / "my_own.yml")
    tested = run("test", str(tmp_path))
    assert tested.exit_code == 0, tested.output
    assert tested.stdout.startswith("1 rules")
    linted = run("lint", str(tmp_path))
    assert linted.exit_code == 0, linted.output


def test_new_rule_never_overwrites(folder: Path) -> None:
    before = (folder / "login_at_night.yml").read_bytes()
    again = run("new", "login-at-night", "--in", str(folder))
    assert again.exit_code == 2
    assert "there already" in again.output
    assert (folder / "login_at_night.yml").read_bytes() == before


@pytest.mark.parametrize("name", ["Login", "a b", "../x", ""])
def test_new_rule_needs_a_plain_name(tmp_path: Path, name: str) -> None:
    assert run("new", name, "--in", str(tmp_path)).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_rule_without_tests_fails(folder: Path) -> None:
    (folder / "login_at_night.test.yml").unlink()
    tested = run("test", str(folder))
    assert tested.exit_code == 1
    assert "there are no tests" in tested.stdout


def test_refused_rule_fails_with_file_and_line(folder: Path) -> None:
    path = folder / "login_at_night.yml"
    path.write_text(path.read_text().replace("condition: selection", "condition: choice"))
    tested = run("test", str(folder))
    assert tested.exit_code == 1
    assert f"{path}:" in tested.stdout
    assert "No rule is there" not in tested.output


def test_lint_finds_a_field_that_no_event_has(folder: Path) -> None:
    path = folder / "login_at_night.yml"
    path.write_text(path.read_text().replace("details.method", "detail.method"))
    linted = run("lint", str(folder), "--json")
    assert linted.exit_code == 1
    said = [issue["said"] for issue in json.loads(linted.stdout)["issues"]]
    assert said == ["events have no field 'detail.method'; did you mean 'details.method'?"]


def test_new_rule_is_refused_live_until_it_is_written(tmp_path: Path) -> None:
    assert run("new", "my-own", "--in", str(tmp_path)).exit_code == 0
    text = (tmp_path / "my_own.yml").read_text()
    assert all(mark in text for mark in PLACEHOLDERS)
    assert run("test", str(tmp_path)).exit_code == 0  # it may be tried
    linted = run("lint", str(tmp_path))
    assert linted.exit_code == 1
    assert "Say why somebody should care." in " ".join(linted.stdout.split())
    listed = run("list", "--dir", str(tmp_path))
    assert "my-own" not in listed.stdout
    assert "my_own.yml:5: my-own: write it first" in listed.stderr
    finish(tmp_path / "my_own.yml")
    assert "my-own" in run("list", "--dir", str(tmp_path)).stdout


FOREIGN = """
title: Trail Stopped
id: 4db60cc0-36fb-42b7-9b58-a5b53019fb74
status: test
description: Somebody stops a trail.
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: StopLogging}, condition: selection}
level: medium
"""


def test_rules_of_others_need_neither_our_words_nor_our_tests(tmp_path: Path) -> None:
    (tmp_path / "theirs.yml").write_text(FOREIGN)
    linted = run("lint", str(tmp_path), "--json")
    grades = [issue["grade"] for issue in json.loads(linted.stdout)["issues"]]
    assert "error" not in grades, linted.stdout
    tested = run("test", str(tmp_path))
    assert tested.exit_code == 0, tested.output
    assert "1 rule of others has no tests" in tested.stdout


def test_lint_warns_of_a_log_that_nobody_sends(tmp_path: Path) -> None:
    (tmp_path / "theirs.yml").write_text(FOREIGN.replace("aws", "windows"))
    issues = json.loads(run("lint", str(tmp_path), "--json").stdout)["issues"]
    assert ("warning", True) in [(i["grade"], "'windows' comes here" in i["said"]) for i in issues]


def test_lint_reports_an_unknown_modifier(folder: Path) -> None:
    path = folder / "login_at_night.yml"
    path.write_text(path.read_text().replace("details.method:", "details.method|is:"))
    linted = run("lint", str(folder), "--json")
    said = [issue["said"] for issue in json.loads(linted.stdout)["issues"]]
    assert len(said) == 1, linted.output
    assert "is" in said[0]
    assert linted.exit_code == 1


def test_explain_and_a_failed_test_tell_the_category_that_keeps_a_rule_away(folder: Path) -> None:
    path = folder / "login_at_night.yml"
    path.write_text(path.read_text().replace("category: authentication", "category: security"))
    event = {"user": "jane", "action": "authentication.login.success"}
    asked = ("explain", "-", "--dir", str(folder), "--rule", "login-at-night")
    told = run(*asked, input=json.dumps(event))
    assert "- category: security   has authentication" in told.stdout, told.output
    tested = run("test", str(folder))
    assert tested.exit_code == 1
    text = " ".join(tested.stdout.split())
    assert "it does not match: its category is security, the event's authentication" in text


def test_lint_finds_an_option_that_search_has_not(folder: Path) -> None:
    path = folder / "login_at_night.yml"
    path.write_text(path.read_text().replace("--since 24h", "--from 24h"))
    assert "no option --from" in run("lint", str(folder)).stdout


def test_explain_tells_each_part() -> None:
    event = {"user": "root", "action": "authentication.login.failed"}
    told = run("explain", "-", "--json", input=json.dumps(event))
    assert told.exit_code == 0, told.output
    first = json.loads(told.stdout)[0]
    assert first["rule_id"] == "failed-admin-login"
    assert first["is_match"]
    parts = {part["name"]: part["is_met"] for part in first["parts"]}
    assert parts == {"login": True, "admin_role": False, "admin_name": True, "role_known": False}


def test_explain_tells_why_a_rule_does_not_match() -> None:
    event = {"user": "jane", "action": "authentication.login.failed"}
    told = run("explain", "-", "--rule", "failed-admin-login", input=json.dumps(event))
    assert "failed-admin-login does not match" in told.stdout
    assert "- admin_name" in told.stdout


def test_explain_names_what_a_base_rule_feeds() -> None:
    event = {"user": "jane", "action": "authentication.login.failed", "ip_address": "198.51.100.1"}
    told = run("explain", "-", "--rule", "password-spray", input=json.dumps(event))
    assert "feeds password-spray (ip_address=198.51.100.1)" in told.stdout


@pytest.mark.parametrize("text", ["", "[]", "{", '{"user": 1}', '{"timestamp": "soon"}'])
def test_explain_refuses_what_is_no_event(text: str) -> None:
    told = run("explain", "-", input=text)
    assert told.exit_code == 2
    assert told.exception is None or isinstance(told.exception, SystemExit)


def test_rule_that_is_not_found_may_lie_in_a_folder(folder: Path) -> None:
    event = json.dumps({"user": "jane", "action": "authentication.login.success"})
    told = run("explain", "-", "--rule", "login-at-night", input=event)
    assert told.exit_code == 2
    text = " ".join(told.output.split())
    assert "give --dir FOLDER or AUDIT_RULES_DIRS" in text
    found = run("explain", "-", "--rule", "login-at-night", "--dir", str(folder), input=event)
    assert found.exit_code == 0, found.output


def test_rule_that_is_refused_is_not_called_unknown(folder: Path) -> None:
    path = folder / "login_at_night.yml"
    path.write_text(path.read_text().replace("role: service", "rol: service"))
    told = run("explain", "-", "--rule", "login-at-night", "--dir", str(folder), input="{}")
    text = " ".join(told.output.split())
    assert "is refused" in text
    assert "did you mean 'role'" in text


def test_exception_finds_its_rule_in_the_folder_that_it_goes_into(folder: Path) -> None:
    where = ("--where", "user: svc-x", "--in", str(folder))
    for dirs in ((), ("--dir", str(folder))):
        made = run("except", "login-at-night", *where, *EXCEPT, *dirs)
        assert made.exit_code == 0, made.output
    assert len(read_folder(folder).exceptions) == 2


EXCEPT = ("--owner", "ops", "--reason", "nightly archive", "--until", "30d")


def test_exception_hides_what_it_names(tmp_path: Path) -> None:
    made = run(
        "except", "mass-export", "--where", "user: svc-archive", *EXCEPT, "--in", str(tmp_path)
    )
    assert made.exit_code == 0, made.output
    event = {"user": "svc-archive", "action": "data.export.completed"}
    event |= {"details": {"record_count": 9000}}  # type: ignore[dict-item]
    (exception,) = read_folder(tmp_path).exceptions
    assert not load_rules([], exceptions=[exception]).exceptions  # its rule is not there
    listed = run("list", "--dir", str(tmp_path), "--json")
    assert listed.exit_code == 0
    assert listed.stderr == ""


def test_exception_can_be_for_one_tenant(tmp_path: Path) -> None:
    made = run(
        "except",
        "mass-export",
        "--where",
        "user: svc-archive",
        "--tenant",
        "acme",
        *EXCEPT,
        "--in",
        str(tmp_path),
    )
    assert made.exit_code == 0, made.output
    (exception,) = read_folder(tmp_path).exceptions
    text = exception.text if isinstance(exception.text, str) else exception.text.decode()
    assert yaml.safe_load(text)["exception"]["tenant"] == "acme"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--where", "user svc"), id="no mapping"),
        pytest.param(("--where", "user|regexp: x"), id="no such modifier"),
        pytest.param(("--where", "usr: x"), id="no such field"),
        pytest.param(("--where", "user: x", "--until", "2020-01-01"), id="over already"),
        pytest.param(("--where", "user: x", "--until", "9000d"), id="for ever"),
    ],
)
def test_exception_that_makes_no_sense_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    made = run("except", "mass-export", *EXCEPT, *options, "--in", str(tmp_path))
    assert made.exit_code == 2, made.output
    assert not (tmp_path / "exceptions").exists()


def test_unknown_rule_is_named_with_near_ones(tmp_path: Path) -> None:
    made = run("except", "export", "--where", "user: x", *EXCEPT, "--in", str(tmp_path))
    assert made.exit_code == 2
    assert "did you mean" in made.output


class History:
    """An API that has one event in its last hour, and at first finds windows too broad."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answered: list[tuple[int, int]] = []

    def post_for_rows(self, _path: str, body: Any) -> Any:
        self.asked.append(body)
        if body["to_ms"] - body["from_ms"] > 10_800_000:
            raise Refused("too broad", 400)
        self.answered.append((body["from_ms"], body["to_ms"]))
        rows = []
        if body["to_ms"] == self.asked[0]["to_ms"]:
            raw = {"user": "jane", "action": "data.export.completed"}
            known = {
                "incarnation": "abc",
                "raw": json.dumps({**raw, "details": {"record_count": 5000}}),
                "recorded_ms": body["to_ms"] - 1,
                "occurred_us": (body["to_ms"] - 1) * 1000,
                "category": "export",
                "result_name": "success",
                "flags": [],
                "changed": [],
            }
            zero = dict.fromkeys(("partition", "offset", "geo_asn"), 0)
            rows = [[{**zero, **known}.get(name, "") for name in MEMBERS]]
        return {"members": MEMBERS, "rows": rows, "has_more": False}


def test_backtest_over_a_span_that_is_too_long_says_how_long_it_may_be() -> None:
    told = run("backtest", "mass-export", "--since", "9000d")
    assert told.exit_code == 2
    assert "at most 3660d" in " ".join(told.output.split())
    assert rules_backtest._span_ms("1000d") == 1000 * rules_backtest.DAY_MS


def test_backtest_without_a_terminal_leaves_no_empty_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with rules_backtest._bar() as bar:
        bar.add_task("backtest", total=1, said="")
    assert capsys.readouterr() == ("", "")


def test_backtest_narrows_windows_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History()
    monkeypatch.setattr(rules_backtest, "open_client", lambda *_args: history)
    done = run("backtest", "mass-export", "--since", "12h", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["events"], told["alerts"], told["pages"]) == (1, 1, 1)
    assert all(before[1] == after[0] for before, after in pairwise(history.answered))
    assert history.answered[0][0] == history.asked[0]["from_ms"]
    assert history.answered[-1][1] == history.asked[0]["to_ms"]
    assert len(history.asked) - len(history.answered) <= 2
    assert history.asked[0]["needs"]


def test_backtest_shows_days_and_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_backtest, "open_client", lambda *_args: History())
    done = run("backtest", "mass-export", "--since", "2h")
    assert "It would have paged 1 times" in done.stdout
    assert "jane exported 5,000 records" in done.stdout


class Scanned:
    """An API over rows in memory: what /v1/scan promises, two rows a page."""

    members = ("recorded_ms", "incarnation", "partition", "offset")

    def __init__(self, rows: list[tuple[int, str, int, int]]) -> None:
        self.rows = sorted(rows)

    def post_for_rows(self, _path: str, body: Any) -> Any:
        after = body["after"] and tuple(body["after"][name] for name in self.members)
        found = [
            row
            for row in self.rows
            if body["from_ms"] <= row[0] < body["to_ms"] and (not after or row > after)
        ]
        return {"members": self.members, "rows": found[:2], "has_more": len(found) > 2}


@pytest.mark.parametrize(
    "times",
    [
        pytest.param([5] * 9, id="all in one millisecond"),
        pytest.param([0, 0, 0, 1, 1, 7, 99, 100, 100, 100], id="knots"),
        pytest.param([10**9 * n for n in range(30)], id="far apart"),
        pytest.param([*range(50), 10**10, *range(10**10, 10**10 + 20)], id="two bursts"),
        pytest.param([], id="nothing"),
    ],
)
def test_history_is_read_once_and_whole(times: list[int]) -> None:
    rows = [(at, "abc", 0, number) for number, at in enumerate(times)]
    end = max(times, default=0) + 1
    found = rules_backtest.pages(Scanned(rows), {}, (0, end), lambda _at: None)  # type: ignore[arg-type]
    assert [tuple(row) for page in found for row in page["rows"]] == sorted(rows)
