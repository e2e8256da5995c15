"""Canaries: chosen from tests, marked, and near to now."""

from datetime import UTC, datetime

from cli.rules_shared import load
from detections.canary import SPAN_MS_MAX, events_of, plan_canaries, why_not
from detections.rulebook import Case, build
from schemas.canary import CANARY, RULE, TENANT, judge

LOADED = load(())
PLAN = plan_canaries(LOADED.ruleset, LOADED.tests)
NOW_MS = 1_780_000_000_000
KEY = b"secret"


def test_each_rule_has_a_canary_or_a_reason() -> None:
    rules = {rule.rule_id for rule in LOADED.ruleset.rules if not rule.is_silent}
    named = {canary.rule_id for canary in PLAN.canaries} | {rule for rule, _ in PLAN.left_out}
    assert rules <= named
    assert len(PLAN.canaries) >= 80


def test_canaries_are_marked_and_recent() -> None:
    for canary in PLAN.canaries:
        events = events_of(canary, NOW_MS, "r1", KEY)
        assert len({event["event_id"] for event in events}) == len(events)
        assert all(event["tenant"] == TENANT for event in events)
        assert all(event["details"][RULE] == canary.rule_id for event in events)
        assert all(judge(KEY, event) == CANARY for event in events)
        assert canary.span_ms <= SPAN_MS_MAX
    assert events_of(PLAN.canaries[0], NOW_MS, "r1", KEY)[-1]["timestamp"].startswith("2026-05-28T")


def test_rules_that_ship_decide_at_once() -> None:
    assert {canary.wait_ms for canary in PLAN.canaries} == {0}


def test_what_no_canary_can_be_has_none_and_says_why() -> None:
    """Late, delayed and forged ones never fired: each fresh install was red after minutes."""
    left_out = dict(PLAN.left_out)
    for rule, flag in (
        ("backdated-events", "delayed"),
        ("backdated-failures", "delayed"),
        ("forged-canary", "forged_canary"),
        ("forged-read", "forged_read"),
    ):
        assert left_out[rule] == f"its test needs flags ({flag}), which no canary has"


def test_what_the_events_bring_along_is_no_reason_against_a_canary() -> None:
    moment = datetime(2026, 3, 4, 10, tzinfo=UTC)
    event = {"action": "data.recording.played", "details": {"before": 1, "after": 2}}
    for known, why in (
        ({}, ""),
        ({"protected": True}, ""),
        ({"result": "success", "verb": "play"}, ""),
        ({"country": "DE"}, "its test needs country, which no canary has"),
        ({"flags": ["late"]}, "its test needs flags (late), which no canary has"),
        ({"recorded_ms": 5}, "its test needs recorded_ms, which no canary has"),
    ):
        case = Case("one", is_match=True, events=(build(event, known, moment),), alerts=None)
        assert why_not(case, is_habit=False) == why
