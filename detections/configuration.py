"""Rules on settings that protect the record itself: retention, audit logging, second factors.

Source: MITRE ATT&CK T1070, T1562.008, T1556.006; SOC 2 CC7.2, HIPAA 164.316(b)(2) (six years).
Blind spot: a change that the platform reports without before and after, or under a name that
says nothing of its meaning.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from detections.rule import Derived, Fields, Rule
from detections.words import is_off, is_on, span_s, walk, words_of

NAMES_CACHED_MAX: Final = 4_096  # names of actions, resources and settings seen lately

_RETENTION: Final = frozenset({"retention", "retain", "ttl", "expiry", "expiration"})
_AUDIT: Final = frozenset({"audit", "auditing", "logging", "trail", "cloudtrail", "auditlog"})
_MFA: Final = frozenset({"mfa", "2fa", "totp", "webauthn", "otp", "twofactor", "multifactor"})
_OFF_WORDS: Final = frozenset(
    {"disabled", "disable", "off", "deactivated", "deactivate", "stopped", "stop", "deleted",
     "delete", "removed", "remove", "reset", "paused", "suspended"}
)  # fmt: skip
_SWITCH_WORDS: Final = frozenset({"enabled", "active", "required", "enforced", "status", "state"})
_FAILED: Final = frozenset({"failure", "denied", "error"})
# kinds that report what was done or read, not what was set
_NOT_SETTINGS: Final = frozenset({"data_access", "export"})


@lru_cache(maxsize=NAMES_CACHED_MAX)
def _all_words(action: str) -> frozenset[str]:
    """Give the words of an action, and of each of its parts as one: `two_factor` → `twofactor`."""
    joined = {part.replace("_", "").replace("-", "") for part in action.split(".")}
    return words_of(action) | joined


def _is_settings(category: str) -> bool:
    return category not in _NOT_SETTINGS


def _concerns_retention(action: str, category: str) -> bool:
    return _is_settings(category) and (
        not _RETENTION.isdisjoint(words_of(action)) or category == "configuration"
    )


def _examine_retention(fields: Fields, derived: Derived) -> str:
    if not derived.has_changes or derived.result in _FAILED:
        return ""
    named = not _RETENTION.isdisjoint(words_of(f"{fields['action']} {fields.get('resource')}"))
    for key, node in walk(fields.get("details")):
        if "after" not in node or not (
            named or not _RETENTION.isdisjoint(words_of(_setting_of(key, node)))
        ):
            continue
        before, after = node.get("before"), node.get("after")
        if isinstance(before, dict) and isinstance(after, dict):
            pairs = [
                (before[name], after.get(name)) for name in before if _is_span(name, named=named)
            ]
        else:
            pairs = [(before, after)]
        for old, new in pairs:
            old_s, new_s = span_s(old), span_s(new)
            if old_s is not None and new_s is not None and new_s < old_s:
                what = fields.get("resource") or fields["action"]
                return f"{fields['user']} shortened the retention of {what}: {old} to {new}."
    return ""


def _setting_of(key: str, node: Fields) -> str:
    """Name the setting that an object is about: its key, or the `field` or `setting` in it."""
    named = node.get("field") or node.get("setting") or node.get("name")
    return f"{key} {named}" if isinstance(named, str) else key


def _is_span(name: str, *, named: bool) -> bool:
    words = words_of(name)
    return not _RETENTION.isdisjoint(words) or (
        named and not words.isdisjoint(("days", "period", "duration", "months", "years"))
    )


def retention_shortened() -> Rule:
    """Build the rule."""
    return Rule(
        id="retention-shortened",
        version=1,
        title="Retention shortened",
        why="Shorter retention deletes evidence and may break a duty to keep records.",
        severity="high",
        risk=35,
        tags=("attack.defense_evasion", "attack.t1070", "attack.impact", "attack.t1485"),
        false_positives=("An approved change of policy; ask for its ticket.",),
        runbook="Who changed what else: audit search --user {user} --action 'settings.*'"
        " --since 7d\n"
        "All changes of this resource: audit search --resource {resource} --since 30d\n"
        "Without an approval: set it back before the next deletion run, then ask.",
        concerns=_concerns_retention,
        examine=_examine_retention,
    )


def _switched_off(names: frozenset[str]) -> Callable[[Fields, Derived], bool]:
    """Build the test for "something of these names was switched off", by action or by change."""

    def test(fields: Fields, derived: Derived) -> bool:
        if derived.result in _FAILED:
            return False
        action_words = _all_words(fields["action"])
        if not derived.has_changes and _OFF_WORDS.isdisjoint(action_words):
            return False
        is_named = not names.isdisjoint(action_words)
        if derived.category != "permission":  # there a resource is a role, whatever its name
            is_named = is_named or not names.isdisjoint(_all_words(fields.get("resource") or ""))
        if is_named and not _OFF_WORDS.isdisjoint(action_words):
            return True
        return derived.has_changes and any(
            _goes_off(node, names, is_named=is_named or not names.isdisjoint(_all_words(key)))
            for key, node in walk(fields.get("details"))
            if "after" in node
        )

    return test


def _goes_off(node: Fields, names: frozenset[str], *, is_named: bool) -> bool:
    setting = next((text for text in (node.get("setting"), node.get("field")) if text), "")
    is_named = is_named or (isinstance(setting, str) and not names.isdisjoint(_all_words(setting)))
    before, after = node.get("before"), node.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        return any(
            _is_switch(name, names, is_named=is_named) and _turned(before[name], after.get(name))
            for name in before
        )
    return is_named and _turned(before, after)


def _is_switch(name: str, names: frozenset[str], *, is_named: bool) -> bool:
    words = _all_words(name)
    return not names.isdisjoint(words) or (is_named and not _SWITCH_WORDS.isdisjoint(words))


def _turned(before: object, after: object) -> bool:
    return is_off(after) and (before is None or is_on(before))


def _concerns_settings(names: frozenset[str]) -> Callable[[str, str], bool]:
    return lambda action, category: (
        category in ("configuration", "security", "permission", "other")
        or (_is_settings(category) and not names.isdisjoint(_all_words(action)))
    )


def audit_switched_off() -> Rule:
    """Build the rule."""
    is_switched_off = _switched_off(_AUDIT)

    def examine(fields: Fields, derived: Derived) -> str:
        if not is_switched_off(fields, derived):
            return ""
        return f"{fields['user']} switched audit logging off ({fields['action']})."

    return Rule(
        id="audit-switched-off",
        version=1,
        title="Audit logging switched off",
        why="What is not logged can't be found again; attackers do this first.",
        severity="critical",
        risk=50,
        tags=("attack.defense_evasion", "attack.t1562", "attack.t1562.008"),
        false_positives=("A planned move of the log to another store.",),
        runbook="Switch it on again first.\n"
        "What did the user do around it: audit search --user {user} --since 24h\n"
        "Who else came from there: audit search --ip {ip_address} --since 24h\n"
        "Compare with the source's own records for the time it was off.",
        concerns=_concerns_settings(_AUDIT),
        examine=examine,
    )


def mfa_switched_off() -> Rule:
    """Build the rule."""
    is_switched_off = _switched_off(_MFA)

    def examine(fields: Fields, derived: Derived) -> str:
        if not is_switched_off(fields, derived):
            return ""
        whom = fields.get("resource_id") or fields.get("on_behalf_of") or fields.get("resource")
        return f"{fields['user']} switched the second factor off for {whom or fields['user']}."

    return Rule(
        id="mfa-switched-off",
        version=1,
        title="Second factor switched off",
        why="An account without a second factor falls to one stolen password.",
        severity="high",
        risk=35,
        tags=("attack.persistence", "attack.credential_access", "attack.t1556.006"),
        false_positives=("A lost or new phone, with a ticket at the help desk.",),
        runbook="What did the user change: audit search --user {user} --since 24h\n"
        "Logins since: audit search --user {user} --action 'authentication.*' --since 7d\n"
        "Without a ticket: switch it on, end all sessions of the account.",
        concerns=_concerns_settings(_MFA),
        examine=examine,
    )
