"""Needs: whatever a rule matches has what the rule needs, so a backtest reads enough."""

from typing import Any

from cli.rules_shared import load
from detections.needs import Need, needs_of
from detections.sigma.detector import SigmaDetector

LOADED = load(())
DETECTOR = SigmaDetector(LOADED.ruleset)
GIVEN = [
    given for tests in LOADED.tests.values() for case in tests.cases for given in case.events[:20]
]


def holds(need: Need, fields: Any, derived: Any) -> bool:
    """Do what the store's query does."""
    action = fields["action"]
    known = {"action": action, **derived._asdict()}
    flags = {"protected": "is_protected", "off_hours": "is_off_hours", "has_changes": "has_changes"}
    known |= {name: str(known[field]).lower() for name, field in flags.items()}
    return (
        action.startswith(need.prefix)
        and all(known[column] in values for column, values in need.values)
        and (not need.parts or any(part in action for part in need.parts))
    )


def test_whatever_matches_has_what_is_needed() -> None:
    needs = [needs_of(LOADED.ruleset, [rule.index]) for rule in LOADED.ruleset.rules]
    matched = 0
    for given in GIVEN:
        for index in DETECTOR.router.full_scan(given.fields, given.derived):
            matched += 1
            rule = LOADED.ruleset.rules[index].rule_id
            held = any(holds(need, given.fields, given.derived) for need in needs[index])
            assert held, (rule, given.fields)
    assert matched > 500


def test_most_rules_need_something() -> None:
    ruleset = LOADED.ruleset
    free = [r.rule_id for r in ruleset.rules if needs_of(ruleset, [r.index]) == (Need("", (), ()),)]
    assert len(free) < 10, free


def test_a_rule_of_one_action_needs_it() -> None:
    ruleset = LOADED.ruleset
    index = next(rule.index for rule in ruleset.rules if rule.rule_id == "role-granted")
    (need,) = needs_of(ruleset, [index])
    assert dict(need.values)["action"] == ("permission.role.granted",)
    assert dict(need.values)["category"] == ("permission",)
