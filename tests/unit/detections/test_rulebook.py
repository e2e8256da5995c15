"""Tests of rules as data: what a file may say, and what it becomes."""

from datetime import UTC, datetime

import pytest

from detections.rulebook import START, RuleTests, beside, read_tests
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile
from detections.trial import run_tests

RULE = """
title: Password login
id: 7f0c4ad8-6a4f-4f0c-9a52-0d7d0a9d8a11
name: password-login
logsource: {product: dutycall}
detection:
  selection: {action: authentication.login.success, details.method: password}
  condition: selection
level: low
"""
BURST = """
title: Burst
id: 7f0c4ad8-6a4f-4f0c-9a52-0d7d0a9d8a12
name: burst
correlation:
  type: event_count
  rules: [one]
  group-by: [user]
  timespan: 5m
  condition: {gte: 3}
level: low
---
title: One
id: 7f0c4ad8-6a4f-4f0c-9a52-0d7d0a9d8a13
name: one
logsource: {product: dutycall}
detection:
  selection: {action: api.request.denied}
  condition: selection
"""


def read(text: str) -> RuleTests:
    return read_tests(RuleFile("r/a.test.yml", text))


def said(rule: str, tests: str) -> list[str]:
    files = [RuleFile("r/a.yml", rule)]
    ruleset = load_rules(files)
    assert not ruleset.refusals
    found = beside(files, [RuleFile("r/a.test.yml", tests)] if tests else [])
    return [outcome.said for outcome in run_tests(ruleset, found)]


def test_event_gets_what_it_leaves_out() -> None:
    (case, _) = read("match: [{action: api.request.denied}]\nno_match: [{user: x}]").cases
    (given,) = case.events
    assert given.fields["user"]
    assert given.fields["timestamp"] == START.isoformat()
    assert given.derived.category == "api"
    assert given.derived.result == "denied"


def test_repeated_events_are_numbered_and_spaced() -> None:
    text = (
        "match: [{name: many, events: [{repeat: 3, every: 2m, user: 'u{n}',"
        " details: {list: ['{n}']}}]}]\nno_match: [{user: x}]"
    )
    case = read(text).cases[0]
    assert [given.fields["user"] for given in case.events] == ["u1", "u2", "u3"]
    assert [given.fields["details"]["list"] for given in case.events] == [["1"], ["2"], ["3"]]
    times = [given.occurred_ms for given in case.events]
    assert [time - times[0] for time in times] == [0, 120_000, 240_000]


def test_moments_are_relative_or_whole() -> None:
    text = "match: [{at: +1h}, {at: '2026-01-01T00:00:00+01:00'}]\nno_match: [{user: x}]"
    first, second, _ = read(text).cases
    hour_ms = 3_600_000
    assert first.events[0].occurred_ms == round(START.timestamp() * 1000) + hour_ms
    expected = datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert second.events[0].occurred_ms == round(expected.timestamp() * 1000)


def test_foreign_record_is_put_where_its_log_has_it() -> None:
    case = read("match: [{cloudtrail: {eventName: X}}]\nno_match: [{user: x}]").cases[0]
    fields = case.events[0].fields
    assert fields["details"] == {"cloudtrail": {"eventName": "X"}}
    assert fields["action"].startswith("aws.")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("match: []\nno_match: [{user: x}]", id="empty list"),
        pytest.param("match: [{user: x}]", id="no counter-example"),
        pytest.param("match: [{user: x}]\nno_match: [{user: x}]\nmaybe: []", id="unknown list"),
        pytest.param("match: [1]\nno_match: [{user: x}]", id="no mapping"),
        pytest.param("match: [{at: soon}]\nno_match: [{user: x}]", id="no time"),
        pytest.param("match: [{repeat: 0}]\nno_match: [{user: x}]", id="no repeat"),
        pytest.param("match: [{repeat: 100000000}]\nno_match: [{user: x}]", id="too many"),
        pytest.param("match: [{derived: {moon: full}}]\nno_match: [{user: x}]", id="no such"),
        pytest.param("match: [{events: []}]\nno_match: [{user: x}]", id="no events"),
        pytest.param("match: [{events: [{}], alerts: 0}]\nno_match: [{}]", id="matches nothing"),
        pytest.param("match: [{user: 1}]\nno_match: [{user: x}]", id="user is no text"),
        pytest.param("[", id="no YAML"),
        pytest.param("", id="empty"),
    ],
)
def test_file_that_says_nothing_sensible_has_faults(text: str) -> None:
    assert read(text).faults


LOGIN = "{action: authentication.login.success, details: {method: password}}"
OTHER = "{action: authentication.login.success, details: {method: sso}}"


@pytest.mark.parametrize(
    ("tests", "outcomes"),
    [
        pytest.param(f"match: [{LOGIN}]\nno_match: [{OTHER}]", ["", ""], id="right"),
        pytest.param(f"match: [{OTHER}]\nno_match: [{OTHER}]", ["it does not match", ""], id="a"),
        pytest.param(f"match: [{LOGIN}]\nno_match: [{LOGIN}]", ["", "it matches"], id="b"),
    ],
)
def test_wrong_expectation_fails(tests: str, outcomes: list[str]) -> None:
    assert said(RULE, tests) == outcomes


def test_rule_without_tests_fails() -> None:
    assert said(RULE, "") == ["there are no tests"]


def test_rule_with_tests_of_one_kind_fails() -> None:
    assert any("no_match" in text for text in said(RULE, f"match: [{LOGIN}]"))


def test_timeline_counts_the_alerts() -> None:
    three = "{name: three, events: [{repeat: 3, action: api.request.denied}]}"
    far = "{name: far, events: [{repeat: 3, every: 4m, action: api.request.denied}]}"
    assert said(BURST, f"match: [{three}]\nno_match: [{far}]") == ["", ""]
    twice = "{name: t, alerts: 2, events: [{repeat: 3, action: api.request.denied}]}"
    assert said(BURST, f"match: [{twice}]\nno_match: [{far}]")[0] == "1 alerts, 2 expected"
    assert said(BURST, f"match: [{three}]\nno_match: [{three}]")[1] == "1 alerts, 0 expected"
