"""The engine on other people's rules and events: SigmaHQ's own cases, and real CloudTrail."""

from functools import cache
from typing import Any

from sigma.policy.profiles import SafePolicy
from sigma.rule import SigmaRule

from detections.sigma.condition import parse_condition
from detections.sigma.documents import Document, read_documents
from detections.sigma.load import load_rules
from detections.sigma.router import Entry, Route, Router
from detections.sigma.ruleset import RuleSet
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or, Tree, all_of, any_of
from detections.sigma.view import SOURCES
from tests.sigma_corpus import UNKNOWN, cases, cloudtrail, needs_data, rule_files

pytestmark = needs_data
AWS = next(source for source in SOURCES if source.product == "aws")


@cache
def ruleset() -> RuleSet:
    return load_rules(rule_files())


@cache
def router() -> Router:
    rules = ruleset()
    return Router(
        [Entry(r.logsource, tree) for r, tree in zip(rules.rules, rules.trees, strict=True)]
    )


@cache
def whole() -> Route:
    route = router().whole()
    assert route
    return route


def test_every_rule_of_sigmahq_loads() -> None:
    assert ruleset().refusals == ()
    assert len(ruleset().rules) == len(rule_files()) > 400


def test_regression_cases_of_sigmahq_match_202_of_202() -> None:
    ids = {rule.id: rule.index for rule in ruleset().rules}
    seen, missed = 0, []
    for case in cases():
        seen += 1
        count = sum(ids[case.rule_id] in whole().match(event, UNKNOWN) for event in case.events)
        if count < case.match_count:
            missed.append((case.name, count, case.match_count))
    assert (seen, missed) == (202, [])


def test_index_equals_the_full_scan_on_every_regression_event_with_all_rules() -> None:
    events = [event for case in cases() for event in case.events]
    assert len(events) >= 202
    assert [e for e in events if whole().match(e, UNKNOWN) != whole().full_scan(e, UNKNOWN)] == []


def test_index_equals_the_full_scan_on_every_cloudtrail_event_with_all_rules() -> None:
    events = cloudtrail()
    assert len(events) == 2_900
    different = 0
    matched = 0
    for event in events:
        found = whole().match(event, UNKNOWN)
        matched += len(found)
        different += found != whole().full_scan(event, UNKNOWN)
    assert different == 0
    assert matched > 100


def test_routed_events_match_the_same_rules_as_all_rules_of_their_log() -> None:
    routed = router().source_route(AWS)
    assert routed
    for event in cloudtrail()[::7]:
        fields = {"user": "x", "action": "aws.any.thing", "details": {"cloudtrail": event}}
        found = router().match(fields, UNKNOWN)
        assert found == routed.full_scan(event, UNKNOWN)
        assert found == router().full_scan(fields, UNKNOWN)


def test_conditions_mean_what_pysigma_reads_in_them() -> None:
    compared = 0
    for file in rule_files():
        for document in read_documents(file.text):
            assert isinstance(document, Document)
            parsed = SigmaRule.from_dict(document.value, policy=SafePolicy).detection
            for text, condition in zip(parsed.condition, parsed.parsed_condition, strict=True):
                mine = parse_condition(
                    text, list(parsed.detections), lambda name: Leaf(name, "exists")
                )
                assert mine == _to_tree(condition.parse(postprocess=False), parsed)
                compared += 1
    assert compared > 400


def _to_tree(node: Any, detections: Any) -> Tree:
    kind = type(node).__name__
    if kind == "ConditionIdentifier":
        return Leaf(node.identifier, "exists")
    if kind == "ConditionSelector":
        ids = node.resolve_referenced_detections(detections)
        parts: list[Tree] = [Leaf(part.identifier, "exists") for part in ids]
        return any_of(parts) if node.cond_class.__name__ == "ConditionOR" else all_of(parts)
    parts = [_to_tree(part, detections) for part in node.args]
    if kind == "ConditionNOT":
        return Not(parts[0])
    return all_of(parts) if kind == "ConditionAND" else any_of(parts)


def test_tree_kinds_are_all_met() -> None:
    kinds = {type(node) for tree in ruleset().trees for node in _nodes(tree)}
    assert kinds == {And, Or, Not, Leaf}


def _nodes(tree: Tree) -> list[Tree]:
    match tree:
        case And(parts) | Or(parts) | AtLeast(_, parts):
            return [tree, *(node for part in parts for node in _nodes(part))]
        case Not(part):
            return [tree, *_nodes(part)]
        case Leaf():
            return [tree]
