"""What a detection is: it looks at one event and what was derived of it, and may find something."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from schemas.alert import Severity

ACTIONS_CACHED_MAX: Final = 4096  # actions seen lately; a platform has some hundreds

Fields = Mapping[str, Any]


class Derived(NamedTuple):
    """What stage 1 knows of an event beyond its fields; texts are '' where nothing is known."""

    occurred: str  # UTC, "2025-10-11 14:23:15.123456"
    category: str
    verb: str
    result: str  # unknown, success, failure, denied, error
    role: str  # the event's, else the directory's
    department: str
    user_status: str
    country: str
    asn: int
    as_name: str
    client: str
    data_class: str
    is_protected: bool
    has_changes: bool  # the details hold a before or an after


class Finding(NamedTuple):
    """What one rule says of one event. `summary` may quote the event; it is not yet cleaned."""

    rule_id: str
    rule_version: int
    severity: Severity
    title: str
    summary: str
    risk: int
    tags: tuple[str, ...]
    runbook: str


class Detector(Protocol):
    """What stage 1 calls once an event; built-in rules and rule engines look the same to it."""

    @property
    def version(self) -> str:
        """A short text that changes whenever the same event could give other findings."""

    def detect(self, fields: Fields, derived: Derived) -> Sequence[Finding]:
        """Return what fires, most important first not required. Pure, and total for any event."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One detection with all that its reader needs.

    `concerns` (action, category) keeps events away that can't match; its answer is remembered by
    action. `examine` returns the summary, or '' if there is nothing to say. `runbook` may name
    {user}, {resource}, {ip_address} and {session_id}: they are filled in quoted for a shell.
    """

    id: str
    version: int
    title: str
    why: str
    severity: Severity
    risk: int
    tags: tuple[str, ...]
    false_positives: tuple[str, ...]
    runbook: str
    concerns: Callable[[str, str], bool]
    examine: Callable[[Fields, Derived], str]
    parameters: str = ""


class RuleSet:
    """Rules behind one door; as `Detector` promises."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        ids = [rule.id for rule in rules]
        assert len(set(ids)) == len(ids), "two rules with one id"
        self.rules: Final = tuple(rules)
        named = "\n".join(f"{rule.id} {rule.version} {rule.parameters}" for rule in rules)
        self.version: Final = hashlib.sha256(named.encode()).hexdigest()[:8]
        self._concerned = lru_cache(maxsize=ACTIONS_CACHED_MAX)(self._find_concerned)

    def detect(self, fields: Fields, derived: Derived) -> Sequence[Finding]:
        """Ask the rules that the action concerns, as `Detector.detect` promises."""
        concerned = self._concerned(fields["action"], derived.category)
        if not concerned:
            return ()
        return [
            Finding(
                rule.id,
                rule.version,
                rule.severity,
                rule.title,
                summary,
                rule.risk,
                rule.tags,
                rule.runbook,
            )
            for rule in concerned
            if (summary := rule.examine(fields, derived))
        ]

    def _find_concerned(self, action: str, category: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.concerns(action, category))
