"""The rule on what the platform's own security controls report as critical.

Blind spot: it believes the platform's own grading, in the event or in the catalogue.
"""

from typing import Final

from detections.rule import Derived, Fields, Rule
from schemas.actions import ACTIONS

_GRAVE: Final = frozenset({"critical", "severe", "emergency", "fatal"})
_KEYS: Final = ("severity", "level", "priority", "risk")
_CRITICAL: Final = frozenset(
    name for name, action in ACTIONS.items() if action.severity == "critical"
) - {"security.audit.disabled"}  # it has a rule of its own


def _examine(fields: Fields, _derived: Derived) -> str:
    details: Fields = fields.get("details") or {}
    grades = [details.get(key) for key in _KEYS]
    is_grave = any(isinstance(grade, str) and grade.lower() in _GRAVE for grade in grades)
    if not is_grave and fields["action"] not in _CRITICAL:
        return ""
    return f"The platform reports a critical event: {fields['action']} ({fields['user']})."


def critical_event() -> Rule:
    """Build the rule."""
    return Rule(
        id="critical-security-event",
        version=1,
        title="Critical security event",
        why="The platform's own control says that it can't wait.",
        severity="critical",
        risk=50,
        tags=("attack.initial_access",),
        false_positives=("A drill; a control that grades too high.",),
        runbook="What led to it: audit search --user {user} --since 24h\n"
        "From the same address: audit search --ip {ip_address} --since 24h\n"
        "Follow the incident plan.",
        concerns=lambda _action, category: category == "security",
        examine=_examine,
    )
