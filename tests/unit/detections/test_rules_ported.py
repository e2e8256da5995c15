"""The nine rules that were code before they were Sigma: what they found and left alone then."""

from typing import Any

import pytest

from cli.rules_shared import load
from detections.hours import Hours
from detections.rule import Derived
from detections.sigma.detector import SigmaDetector
from pipeline.changes import find_changes
from schemas.catalogue import category_of, result_of, verb_of

FRIDAY_NOON = "2025-10-10 12:00:00"
FRIDAY_NIGHT = "2025-10-10 20:00:00"
SATURDAY_NOON = "2025-10-11 12:00:00"
RULES = SigmaDetector(load(()).ruleset)


def fired(fields: dict[str, Any], **known: Any) -> set[str]:
    """Judge an event as stage 1 would, with what `known` says beside it."""
    event = {"user": "jane@company.com", **fields}
    action = event["action"]
    occurred = known.pop("occurred", FRIDAY_NOON)
    derived = Derived(
        occurred=occurred,
        category=category_of(action),
        verb=verb_of(action),
        result=event.get("result") or result_of(action),
        role=event.get("role", ""),
        department="",
        user_status="",
        country="",
        asn=0,
        as_name="",
        client="",
        data_class="",
        is_protected=known.pop("is_protected", False),
        has_changes=bool(find_changes(event.get("details") or {}).changed),
        is_off_hours=Hours().is_off(occurred),
    )
    assert not known
    return {finding.rule_id for finding in RULES.detect(event, derived)}


def change(before: object, after: object) -> dict[str, Any]:
    return {"before": before, "after": after}


RETENTION = {"action": "settings.retention_policy.updated", "resource": "voice_recordings"}
LOGIN = "authentication.login.failed"

HITS: list[tuple[str, dict[str, Any]]] = [
    ("failed-admin-login", {"action": LOGIN, "user": "admin@company.com"}),
    ("failed-admin-login", {"action": LOGIN, "user": "bob", "role": "Org-Admin"}),
    ("failed-admin-login", {"action": "authentication.login.denied", "user": "root"}),
    ("failed-admin-login", {"action": "auth.login.attempt", "user": "root", "result": "failure"}),
    ("retention-shortened", RETENTION | {"details": change("90 days", "30 days")}),
    ("retention-shortened", RETENTION | {"details": change("P1Y", "P30D")}),
    ("retention-shortened", RETENTION | {"details": change(90, 89.5)}),
    ("retention-shortened", RETENTION | {"details": change("forever", "7 years")}),
    ("retention-shortened", RETENTION | {"details": change("2 weeks", "13 days")}),
    ("retention-shortened", RETENTION | {"details": change({"days": 90}, {"days": 30})}),
    (
        "retention-shortened",
        {"action": "settings.storage.updated", "details": {"retention_days": change(90, 30)}},
    ),
    (
        "retention-shortened",
        {
            "action": "settings.storage.updated",
            "details": {"changes": [{"field": "log_retention", **change("1y", "1m")}]},
        },
    ),
    ("mass-export", {"action": "data.export.completed", "details": {"record_count": 1000}}),
    ("mass-export", {"action": "data.export.completed", "details": {"record_count": "1,523"}}),
    ("mass-export", {"action": "data.export.completed", "details": {"file_size_mb": 100}}),
    ("mass-export", {"action": "data.export.completed", "details": {"file_size_bytes": 10**8}}),
    ("mass-export", {"action": "data.recording.downloaded", "details": {"file_size_mb": 512.5}}),
    (
        "admin-role-granted",
        {"action": "permission.role.granted", "details": {"role": "admin", "target_user": "bob"}},
    ),
    ("admin-role-granted", {"action": "user.role.changed", "details": change("agent", "Admin")}),
    (
        "admin-role-granted",
        {"action": "permission.role.updated", "details": change(["agent"], ["agent", "owner"])},
    ),
    (
        "admin-role-granted",
        {
            "action": "role.assigned.success",
            "details": {"roles": ["viewer", "super-admin", "root"]},
        },
    ),
    ("audit-switched-off", {"action": "security.audit.disabled"}),
    ("audit-switched-off", {"action": "settings.audit_log.disabled"}),
    (
        "audit-switched-off",
        {
            "action": "settings.audit.updated",
            "details": change({"enabled": True}, {"enabled": False}),
        },
    ),
    (
        "audit-switched-off",
        {"action": "settings.system.updated", "details": {"audit_logging": change("on", "off")}},
    ),
    (
        "audit-switched-off",
        {
            "action": "settings.system.updated",
            "details": change({"audit": True, "theme": "dark"}, {"audit": False, "theme": "dark"}),
        },
    ),
    ("mfa-switched-off", {"action": "security.mfa.disabled"}),
    ("mfa-switched-off", {"action": "security.two_factor.removed"}),
    (
        "mfa-switched-off",
        {
            "action": "settings.sso.updated",
            "details": change({"mfa_required": True}, {"mfa_required": False}),
        },
    ),
    (
        "mfa-switched-off",
        {
            "action": "settings.login.updated",
            "details": {"setting": "mfa", **change("enabled", "disabled")},
        },
    ),
    ("api-key-for-another", {"action": "api.key.created", "on_behalf_of": "bob"}),
    ("api-key-for-another", {"action": "api.key.created", "details": {"for_user": "bob"}}),
    ("critical-security-event", {"action": "security.recording.tampered"}),
    (
        "critical-security-event",
        {"action": "security.anomaly.detected", "details": {"severity": "CRITICAL"}},
    ),
]

MISSES: list[tuple[str, dict[str, Any]]] = [
    ("failed-admin-login", {"action": LOGIN, "user": "jane.doe@company.com"}),
    ("failed-admin-login", {"action": LOGIN, "user": "badminton@company.com"}),
    ("failed-admin-login", {"action": LOGIN, "user": "jane@admin.company.com"}),
    ("failed-admin-login", {"action": LOGIN, "user": "admin", "role": "agent"}),
    ("failed-admin-login", {"action": "authentication.login.success", "user": "admin"}),
    ("failed-admin-login", {"action": "data.record.failed", "user": "admin"}),
    ("retention-shortened", RETENTION | {"details": change("90 days", "180 days")}),
    ("retention-shortened", RETENTION | {"details": change("90 days", "90 days")}),
    ("retention-shortened", RETENTION | {"details": change("P3M", "90 days")}),
    ("retention-shortened", RETENTION | {"details": change("90 days", "forever")}),
    ("retention-shortened", RETENTION | {"details": change("long", "short")}),
    ("retention-shortened", RETENTION | {"details": change(before=True, after=False)}),
    ("retention-shortened", RETENTION | {"details": change("90 days", None)}),
    ("retention-shortened", RETENTION | {"details": change(90, 30), "result": "denied"}),
    (
        "retention-shortened",
        {"action": "settings.schedule.updated", "details": {"rotation_days": change(14, 7)}},
    ),
    ("retention-shortened", {"action": "settings.schedule.updated", "details": change(14, 7)}),
    ("mass-export", {"action": "data.export.completed", "details": {"record_count": 999}}),
    ("mass-export", {"action": "data.export.completed", "details": {"file_size_mb": 99.9}}),
    ("mass-export", {"action": "data.export.failed", "details": {"record_count": 5000}}),
    ("mass-export", {"action": "data.export.completed", "details": {"record_count": True}}),
    ("mass-export", {"action": "data.export.completed"}),
    ("mass-export", {"action": "api.request.success", "details": {"record_count": 5000}}),
    ("admin-role-granted", {"action": "permission.role.granted", "details": {"role": "agent"}}),
    ("admin-role-granted", {"action": "permission.role.revoked", "details": {"role": "admin"}}),
    ("admin-role-granted", {"action": "user.role.changed", "details": change("admin", "agent")}),
    ("admin-role-granted", {"action": "user.role.changed", "details": change("admin", "admin")}),
    (
        "admin-role-granted",
        {"action": "permission.role.granted", "details": {"role": "admin"}, "result": "denied"},
    ),
    (
        "admin-role-granted",
        {"action": "permission.role.granted", "details": {"removed": {"role": "admin"}}},
    ),
    ("admin-role-granted", {"action": "data.record.updated", "details": {"role": "admin"}}),
    ("audit-switched-off", {"action": "security.audit.enabled"}),
    ("audit-switched-off", {"action": "security.audit.disabled", "result": "denied"}),
    ("audit-switched-off", {"action": "export.audit_log.completed"}),
    ("audit-switched-off", {"action": "permission.role.removed", "resource": "audit_reader"}),
    ("audit-switched-off", {"action": "settings.theme.updated", "details": change("on", "off")}),
    (
        "audit-switched-off",
        {
            "action": "settings.audit.updated",
            "details": change({"enabled": False}, {"enabled": True}),
        },
    ),
    ("mfa-switched-off", {"action": "security.mfa.enabled"}),
    ("mfa-switched-off", {"action": "authentication.mfa.failed"}),
    (
        "mfa-switched-off",
        {"action": "settings.sso.updated", "details": change(before=True, after=False)},
    ),
    ("api-key-for-another", {"action": "api.key.created", "on_behalf_of": "JANE@company.com"}),
    ("api-key-for-another", {"action": "api.key.created"}),
    ("api-key-for-another", {"action": "api.key.revoked", "on_behalf_of": "bob"}),
    ("api-key-for-another", {"action": "api.request.success", "on_behalf_of": "bob"}),
    ("critical-security-event", {"action": "security.ip.blocked"}),
    (
        "critical-security-event",
        {"action": "data.incident.viewed", "details": {"severity": "critical"}},
    ),
]


@pytest.mark.parametrize(("rule", "fields"), HITS)
def test_a_rule_finds(rule: str, fields: dict[str, Any]) -> None:
    assert rule in fired(fields)


@pytest.mark.parametrize(("rule", "fields"), MISSES)
def test_a_rule_leaves_alone(rule: str, fields: dict[str, Any]) -> None:
    assert rule not in fired(fields)


@pytest.mark.parametrize(
    ("occurred", "is_protected", "is_found"),
    [
        (SATURDAY_NOON, True, True),
        (FRIDAY_NIGHT, True, True),
        ("2025-10-10 05:59:59.999999", True, True),
        ("2025-10-10 06:00:00", True, False),
        ("2025-10-10 19:59:59", True, False),
        (SATURDAY_NOON, False, False),
    ],
)
def test_protected_data_is_watched_out_of_hours(
    occurred: str, *, is_protected: bool, is_found: bool
) -> None:
    found = fired({"action": "data.recording.played"}, occurred=occurred, is_protected=is_protected)
    assert ("protected-data-out-of-hours" in found) == is_found


def test_every_rule_of_then_has_a_hit_and_a_miss() -> None:
    assert len({rule for rule, _ in HITS}) == 8  # the ninth has its own test above
    assert {rule for rule, _ in MISSES} == {rule for rule, _ in HITS}


def test_a_plain_event_finds_nothing() -> None:
    assert fired({"action": "api.request.success"}) == set()
    assert fired({"action": "authentication.logout.success"}) == set()
