"""Small Sigma rules for tests: what matches, and why something is refused."""

from collections.abc import Mapping
from textwrap import indent
from typing import Any

from detections.rule import Derived
from detections.sigma.leaves import Placeholders
from detections.sigma.load import load_rules
from detections.sigma.router import Entry, Router
from detections.sigma.ruleset import Refusal, RuleFile, RuleSet
from tests.sigma_corpus import UNKNOWN

HEAD = "title: A rule\nname: a-rule\nlogsource: {product: dutycall}\n"
LAB_HEAD = HEAD.replace("dutycall", "lab")  # rules for foreign logs may ask for any field


def rule_text(detection: str, head: str = HEAD) -> str:
    """Write a rule; a detection without a condition has the one selection `selection`."""
    if "condition:" not in detection:
        detection = f"selection:\n{indent(detection.strip(), '  ')}\ncondition: selection"
    return f"{head}detection:\n{indent(detection.strip(), '  ')}\n"


def load_texts(*texts: str, placeholders: Placeholders | None = None) -> RuleSet:
    """Load texts as files named a.yml, b.yml and so on."""
    files = [RuleFile(f"{chr(97 + n)}.yml", text) for n, text in enumerate(texts)]
    return load_rules(files, placeholders=placeholders)


def router_of(ruleset: RuleSet) -> Router:
    """Compile a rule set."""
    pairs = zip(ruleset.rules, ruleset.trees, strict=True)
    return Router([Entry(rule.logsource, tree) for rule, tree in pairs])


def matches(
    detection: str, event: Mapping[str, Any], placeholders: Placeholders | None = None
) -> bool:
    """Say whether a detection matches a record; by the index, the oracle and narrowed alike."""
    ruleset = load_texts(rule_text(detection, LAB_HEAD), placeholders=placeholders)
    assert ruleset.refusals == ()
    route = router_of(ruleset).whole()
    assert route
    found = route.match(event, UNKNOWN)
    assert found == route.full_scan(event, UNKNOWN), "the index differs from the full scan"
    return found == [0]


def native_matches(detection: str, event: Mapping[str, Any], **derived: Any) -> bool:
    """Say whether a detection matches an event of ours, the first time and later."""
    ruleset = load_texts(rule_text(detection))
    assert ruleset.refusals == ()
    router = router_of(ruleset)
    fields = {"user": "jane", "action": "a.b.c", **event}
    known: Derived = UNKNOWN._replace(category="api", **derived)
    expected = router.full_scan(fields, known)
    for _ in range(3):  # by the index, then by what is left for such events
        assert router.match(fields, known) == expected
    return expected == [0]


def refusal(*texts: str, placeholders: Placeholders | None = None) -> Refusal:
    """Load texts of which one is refused, and give why."""
    (found,) = load_texts(*texts, placeholders=placeholders).refusals
    return found
