"""What a rule should be beyond being valid: pySigma's validators and what we ask for ourselves.

An error is what keeps a rule from being used or understood; a warning may be meant.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import UUID

from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

from detections.rulebook import RuleTests
from detections.sigma.documents import Document, read_documents
from detections.sigma.ruleset import RuleFile, RuleSet
from detections.sigma.view import NATIVE
from detections.sigma.vocabulary import (
    PRODUCTS,
    lines_of,
    misspelt_product,
    own_rules,
    placeholders_in,
)
from schemas.actions import ACTIONS

Grade = Literal["error", "warning"]

# These fetch their lists from the net; the others change nothing in what rules of ours mean.
_LEFT_OUT: Final = frozenset({"attacktag", "d3_fendtag", "duplicate_filename", "filename_length"})
_MEANT: Final = frozenset({"EscapedWildcardIssue"})  # `\*` is how a star itself is spelled
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_OPTION: Final = re.compile(r"\s--([a-z-]+)")
NAME_LENGTH_MAX: Final = 64
TITLE_LENGTH_MAX: Final = 110  # as SigmaHQ has it

# What the command `audit search` takes; a test holds the two to each other.
SEARCH_OPTIONS: Final = frozenset(
    {"user", "action", "resource", "resource-id", "ip", "result", "session", "category",
     "tenant", "text", "since", "until", "limit", "format", "json"}
)  # fmt: skip
RUNBOOK_PLACES: Final = frozenset({"user", "resource", "ip_address", "session_id"})


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing to change, and where."""

    path: str
    line: int
    rule: str
    grade: Grade
    said: str


def lint(
    files: Iterable[RuleFile], ruleset: RuleSet, tests: Mapping[str, RuleTests]
) -> tuple[Issue, ...]:
    """Examine rule files; `ruleset` is what loading made of them, `tests` by path."""
    issues = [Issue(r.path, r.line, r.rule, "error", r.reason) for r in ruleset.refusals]
    silent = {rule.rule_id for rule in ruleset.rules if rule.is_silent}
    silent |= {plan.rule_id for plan in ruleset.correlations if plan.is_silent}
    silent -= {plan.rule_id for plan in ruleset.behaviours}
    own = own_rules(ruleset)
    for file in files:
        loud = 0
        for document in read_documents(file.text):
            if not isinstance(document, Document) or "exception" in document.value:
                continue
            plain = document.value
            rule = str(plain.get("name") or plain.get("id") or "")
            is_own = rule in own or _is_ours(plain)
            loud += is_own and rule not in silent and "filter" not in plain
            said = [*_placeholders(plain), *_product(plain), *_by_sigma(plain)]
            if is_own:
                said += _examine(plain, is_silent=rule in silent)
            issues += (
                Issue(file.path, document.line_of(at), rule, grade, what)
                for grade, at, what in said
            )
        if loud and (found := tests.get(file.path)) is not None:
            issues += [Issue(found.path, 1, "", "error", fault) for fault in found.faults]
    return tuple(sorted(issues, key=lambda issue: (issue.path, issue.line, issue.said)))


_Said = tuple[Grade, str, str]


def _is_ours(plain: Mapping[str, Any]) -> bool:
    """Say whether a rule is ours also if it is refused, so that no rule set has it."""
    logsource = plain.get("logsource")
    product = logsource.get("product") if isinstance(logsource, dict) else None
    return "audit" in plain or "behaviour" in plain or product == NATIVE


def _placeholders(plain: Mapping[str, Any]) -> Iterator[_Said]:
    for at, mark in placeholders_in(plain):
        yield "error", at, f"{mark!r} is what `audit rules new` left to you: write it"


def _product(plain: Mapping[str, Any]) -> Iterator[_Said]:
    """Tell of a log that nobody sends; a product that is nearly one of ours is refused at load."""
    logsource = plain.get("logsource")
    product = str(logsource.get("product") or "").lower() if isinstance(logsource, dict) else ""
    if product and product not in PRODUCTS and not misspelt_product(product):
        said = f"no log of the product {product[:80]!r} comes here: the rule never matches"
        yield "warning", "logsource", said


def _examine(plain: Mapping[str, Any], *, is_silent: bool) -> Iterator[_Said]:
    """Look for what we ask of rules of our own."""
    if "filter" in plain:
        return
    name = plain.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > NAME_LENGTH_MAX:
        yield "error", "name", f"`name` must be words-with-dashes, at most {NAME_LENGTH_MAX}"
    yield from _identity(plain)
    yield from _actions_of(plain)
    if is_silent:
        return
    for key in ("title", "description", "status", "level", "tags", "falsepositives"):
        if not plain.get(key):
            yield "error", key, f"`{key}` is missing"
    if not any(str(tag).startswith("attack.") for tag in plain.get("tags") or ()):
        yield "error", "tags", "no tag of ATT&CK (attack.…)"
    yield from _extras(plain.get("audit"))


def _by_sigma(plain: Mapping[str, Any]) -> Iterator[_Said]:
    """Ask pySigma; correlations and behaviours have little that it could look at."""
    if "detection" not in plain:
        return
    known = {key: value for key, value in plain.items() if key not in ("behaviour", "audit")}
    chosen = {kind for name, kind in validators.items() if name not in _LEFT_OUT}
    try:
        collection = SigmaCollection.from_dicts([known], collect_errors=True)
        rules = [r for r in collection.rules if isinstance(r, SigmaRule) and not r.errors]
        issues = SigmaValidator(chosen).validate_rules(iter(rules))
    except SigmaError:
        return  # refused at load, with its line; so are those with errors
    for issue in issues:
        kind = type(issue).__name__
        if kind not in _MEANT:
            grade: Grade = "error" if issue.severity.name == "HIGH" else "warning"
            yield grade, "detection", f"{issue.description} ({kind.removesuffix('Issue')})"


def _identity(plain: Mapping[str, Any]) -> Iterator[_Said]:
    try:
        UUID(str(plain.get("id")))
    except ValueError:
        yield "error", "id", "`id` must be a UUID: `audit rules new` makes one"
    if len(str(plain.get("title", ""))) > TITLE_LENGTH_MAX:
        yield "warning", "title", f"the title is longer than {TITLE_LENGTH_MAX} characters"


def _extras(extra: object) -> Iterator[_Said]:
    if not isinstance(extra, dict):
        yield "error", "audit", "`audit` is missing: version, risk, why, summary, runbook"
        return
    for key in ("version", "risk", "why", "summary", "runbook"):
        if not extra.get(key):
            yield "error", "audit", f"`audit.{key}` is missing"
    runbook = str(extra.get("runbook", ""))
    searches = [part for part in runbook.splitlines() if "audit search" in part]
    if not searches:
        yield "error", "audit", "the runbook has no `audit search` to paste"
    for line in searches:
        for option in _OPTION.findall(line.partition("audit search")[2]):
            if option not in SEARCH_OPTIONS:
                yield "error", "audit", f"`audit search` has no option --{option}"
    for place in _PLACE.findall(runbook):
        if place not in RUNBOOK_PLACES:
            yield "error", "audit", f"the runbook can't be filled in with {{{place}}}"


def _actions_of(plain: Mapping[str, Any]) -> Iterator[_Said]:
    """Find actions that the platform does not know: mostly typing errors."""
    logsource = plain.get("logsource")
    if not isinstance(logsource, dict) or logsource.get("product") != NATIVE:
        return
    detection = plain.get("detection")
    for name, definition in detection.items() if isinstance(detection, dict) else ():
        for key, value in lines_of(definition) if name != "condition" else ():
            if key == "action":
                yield from _actions(name, value)


def _actions(selection: str, value: object) -> Iterator[_Said]:
    for action in value if isinstance(value, list) else [value]:
        if isinstance(action, str) and "*" not in action and action not in ACTIONS:
            yield "warning", f"detection.{selection}", f"no action {action!r} in the catalogue"
