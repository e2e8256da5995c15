"""The rules for the console: read from what ships and from folders, and again when those change."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cli.detecting import Signature, look
from cli.rule_folder import read_folders, shipped
from cli.rules_shared import Loud, kind_of, loud_of
from detections.sigma.load import load_rules
from detections.sigma.ruleset import (
    BehaviourPlan,
    CorrelationPlan,
    ExceptionRule,
    RuleSet,
    SigmaRule,
)
from schemas.rule import ExceptionView, RuleView

DESCRIPTION_MAX: Final = 2_048  # rules of others may tell a story


class RuleShelf:
    """What rules there are. Safe from several threads; only the views are kept in memory."""

    def __init__(self, dirs: Sequence[Path], *, is_on: bool = True) -> None:
        """Take the folders; without `is_on` no rules are at work."""
        self._is_on = is_on
        self._dirs = tuple(dirs)
        self._lock = threading.Lock()
        self._seen: Signature | None = None
        self._views: Sequence[RuleView] = ()

    def __call__(self) -> Sequence[RuleView]:
        """Return all rules that raise alerts. Raises `Misconfigured` for a folder it can't read."""
        if not self._is_on:
            return ()
        with self._lock:
            seen = look(self._dirs)
            if seen != self._seen:
                folder = shipped() + read_folders(self._dirs)
                ruleset = load_rules(folder.rules, exceptions=folder.exceptions)
                self._views = [_view(rule, ruleset) for rule in loud_of(ruleset)]
                self._seen = seen
            return self._views


def _view(rule: Loud, ruleset: RuleSet) -> RuleView:
    base = _base(rule, ruleset)
    return RuleView(
        rule_id=rule.rule_id,
        title=rule.title,
        kind=kind_of(rule),
        severity=rule.severity,
        version=rule.version,
        risk=rule.risk,
        description=_description(base),
        tags=rule.tags,
        why=rule.why,
        false_positives=rule.false_positives,
        runbook=rule.runbook,
        path=rule.path,
        excepts=base.rule_id if base else None,
        logsource={k: str(v) for k, v in base.document["logsource"].items()} if base else {},
        made_of=_parts(rule, ruleset),
        exceptions=_exceptions(rule, base, ruleset),
    )


def _base(rule: Loud, ruleset: RuleSet) -> SigmaRule | None:
    """Return the rule over single events that an exception would name."""
    if isinstance(rule, CorrelationPlan):
        return None
    return ruleset.rules[rule.selection] if isinstance(rule, BehaviourPlan) else rule


def _parts(rule: Loud, ruleset: RuleSet) -> tuple[str, ...]:
    if not isinstance(rule, CorrelationPlan):
        return ()
    return tuple(one if isinstance(one, str) else ruleset.rules[one].rule_id for one in rule.rules)


def _description(base: SigmaRule | None) -> str:
    found = base.document.get("description", "") if base else ""
    return found[:DESCRIPTION_MAX] if isinstance(found, str) else ""


def _exceptions(rule: Loud, base: SigmaRule | None, ruleset: RuleSet) -> tuple[ExceptionView, ...]:
    """Return the exceptions from the rule, or from what it is made of."""
    if isinstance(rule, CorrelationPlan):
        among = {one for one in rule.rules if isinstance(one, int)}
    else:
        among = {base.index} if base else set()
    return tuple(_exception(one) for one in ruleset.exceptions if one.rules & among)


def _exception(one: ExceptionRule) -> ExceptionView:
    return ExceptionView(
        name=one.id,
        title=one.title,
        owner=one.owner,
        reason=one.reason,
        expires=one.expires,
        tenant=one.tenant,
        path=one.path,
    )
