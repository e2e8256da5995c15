"""The rules that ship: each passes its own tests, and has what its reader needs."""

from collections import Counter
from functools import cache

import pytest

from cli.rule_folder import shipped
from cli.rules_shared import Loaded, load, loud_of
from detections.rule_lint import lint
from detections.trial import Outcome, run_tests
from schemas.actions import ACTIONS

# What the platform's own audit log has; a rule for each at least.
KINDS = {action.category for action in ACTIONS.values()}


@cache
def loaded() -> Loaded:
    return load(())


@cache
def outcomes() -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for outcome in run_tests(loaded().ruleset, loaded().tests):
        found.setdefault(outcome.rule_id, []).append(outcome)
    return found


RULES = [rule.rule_id for rule in loud_of(loaded().ruleset)]


def test_nothing_that_ships_is_refused() -> None:
    assert [str(refusal) for refusal in loaded().ruleset.refusals] == []


@pytest.mark.parametrize("rule_id", RULES)
def test_a_rule_passes_its_tests_of_both_kinds(rule_id: str) -> None:
    found = outcomes()[rule_id]
    assert [f"{outcome.case}: {outcome.said}" for outcome in found if outcome.said] == []
    assert {outcome.is_match for outcome in found} == {True, False}


@pytest.mark.parametrize("rule", loud_of(loaded().ruleset), ids=lambda rule: rule.rule_id)
def test_a_rule_says_what_its_reader_needs(rule: object) -> None:
    assert rule.title  # type: ignore[attr-defined]
    assert rule.why  # type: ignore[attr-defined]
    assert rule.summary  # type: ignore[attr-defined]
    assert rule.false_positives  # type: ignore[attr-defined]
    assert "audit search" in rule.runbook  # type: ignore[attr-defined]
    assert any(tag.startswith("attack.t") for tag in rule.tags) or len(rule.tags) == 1  # type: ignore[attr-defined]
    assert 0 < rule.risk <= 100  # type: ignore[attr-defined]


def test_lint_finds_nothing() -> None:
    folder, ruleset, tests = loaded()
    issues = lint(folder.rules, ruleset, tests)
    assert [f"{issue.path}:{issue.line} {issue.said}" for issue in issues] == []


def test_there_are_rules_for_every_kind_of_event() -> None:
    folders = Counter(rule.path.split("/")[1] for rule in loud_of(loaded().ruleset))
    assert set(folders) >= KINDS - {"other"}
    assert sum(folders[name] for name in folders if name != "aws") >= 45


def test_rules_built_in_before_keep_their_ids_and_titles() -> None:
    known = {
        "failed-admin-login": "Failed login of an administrator",
        "retention-shortened": "Retention shortened",
        "mass-export": "Mass export",
        "admin-role-granted": "Administrator role granted",
        "audit-switched-off": "Audit logging switched off",
        "mfa-switched-off": "Second factor switched off",
        "protected-data-out-of-hours": "Access to protected data out of hours",
        "api-key-for-another": "API key made for another user",
        "critical-security-event": "Critical security event",
    }
    titles = {rule.rule_id: rule.title for rule in loud_of(loaded().ruleset)}
    assert {name: titles.get(name) for name in known} == known


def test_every_base_rule_feeds_something() -> None:
    ruleset = loaded().ruleset
    silent = {rule.index for rule in ruleset.rules if rule.is_silent}
    assert silent <= ruleset.fed


def test_rules_are_read_from_the_package() -> None:
    assert all(file.path.startswith("shipped/") for file in shipped().rules)
    assert len(shipped().tests) == len(RULES)
