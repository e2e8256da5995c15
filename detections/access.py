"""Rules on who comes in and who looks: administrators' failed logins, protected data at night.

Source: MITRE ATT&CK T1110, T1078, T1530; HIPAA Security Rule 164.312(b) on access to health data.
Blind spot: one event at a time. Many failures by a plain user, or a first access from a new
place, need state and are for stateful rules.
"""

from typing import Final

from detections.hours import Hours
from detections.rule import Derived, Fields, Rule
from detections.words import words_of

_LOGIN: Final = frozenset({"login", "logon", "signin", "authenticate", "sso"})
_ADMIN: Final = frozenset(
    {"admin", "admins", "administrator", "administrators", "root", "superuser", "superadmin",
     "sysadmin", "owner"}
)  # fmt: skip
_FAILED: Final = frozenset({"failure", "denied", "error"})
_READING: Final = frozenset({"data_access", "export"})


def is_administrator(user: str, role: str) -> bool:
    """Say whether the role, or else the account's own name before "@", is an administrator's."""
    if role:
        return not _ADMIN.isdisjoint(words_of(role))
    return not _ADMIN.isdisjoint(words_of(user.partition("@")[0]))


def _concerns_login(action: str, category: str) -> bool:
    return category == "authentication" and not _LOGIN.isdisjoint(words_of(action))


def _examine_login(fields: Fields, derived: Derived) -> str:
    if derived.result not in _FAILED or not is_administrator(fields["user"], derived.role):
        return ""
    origin = fields.get("ip_address") or "an unknown address"
    return f"Login of administrator {fields['user']} failed from {origin}."


def failed_admin_login() -> Rule:
    """Build the rule."""
    return Rule(
        id="failed-admin-login",
        version=1,
        title="Failed login of an administrator",
        why="Guessing an administrator's password is the shortest way to everything.",
        severity="medium",
        risk=25,
        tags=("attack.credential_access", "attack.t1110", "attack.initial_access", "attack.t1078"),
        false_positives=("A mistyped or expired password; a script with an old credential.",),
        runbook="See what else came from there: audit search --ip {ip_address} --since 24h\n"
        "Did the account get in after all: audit search --user {user}"
        " --action 'authentication.*' --since 24h\n"
        "If the person does not know of it: lock the account, reset its credential.",
        concerns=_concerns_login,
        examine=_examine_login,
    )


def access_out_of_hours(hours: Hours) -> Rule:
    """Build the rule for the given working hours."""

    def examine(fields: Fields, derived: Derived) -> str:
        if not derived.is_protected or not hours.is_off(derived.occurred):
            return ""
        what = fields.get("resource") or fields["action"]
        return f"{fields['user']} touched protected data ({what}) outside {hours.description}."

    return Rule(
        id="protected-data-out-of-hours",
        version=1,
        title="Access to protected data out of hours",
        why="Stolen accounts and leaving staff take data when nobody is watching.",
        severity="medium",
        risk=20,
        tags=("attack.collection", "attack.t1530", "attack.t1078"),
        false_positives=("Shift work, on-call duty, travel; services that run at night.",),
        runbook="What did the session see: audit search --session {session_id}\n"
        "Is it the person's habit: audit search --user {user} --resource {resource} --since 30d\n"
        "Ask the person or the line manager; if unknown, end the session.",
        concerns=lambda _action, category: category in _READING,
        examine=examine,
        parameters=hours.description,
    )
