"""Canaries: chosen from tests, marked, and near to now."""

from cli.rules_shared import load
from detections.canary import SPAN_MS_MAX, events_of, plan_canaries
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
