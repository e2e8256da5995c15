"""What people of the sample do in a session: action, resource, seconds until the next, details."""

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final, NamedTuple


class Step(NamedTuple):
    """One event of a session, without who and when."""

    action: str
    resource: str = ""
    resource_id: str = ""
    details: Mapping[str, Any] = MappingProxyType({})
    reason: str = ""


Deed = Callable[[Random], Step]

_QUEUES: Final = ("billing", "emergency", "front desk", "sales", "night line")
_ENDPOINTS: Final = ("/v2/calls", "/v2/schedules", "/v2/incidents", "/v2/users/me", "/v2/queues")


def _call_id(rng: Random) -> str:
    return f"call_{rng.getrandbits(40):010x}"


def _view_record(rng: Random) -> Step:
    details = {
        "caller": f"+4420794600{rng.randrange(10, 99)}",
        "duration_s": rng.randrange(5, 1800),
    }
    return Step("data.record.viewed", "voice_call_records", _call_id(rng), details)


def _search_records(rng: Random) -> Step:
    details = {"query": f"queue:{rng.choice(_QUEUES)}", "result_count": rng.randrange(300)}
    return Step("data.record.searched", "voice_call_records", "", details)


def _play_recording(rng: Random) -> Step:
    details = {"duration_s": rng.randrange(5, 900)}
    return Step("data.recording.played", "voice_recordings", _call_id(rng), details)


def _view_transcript(rng: Random) -> Step:
    details = {"language": rng.choice(("en", "de", "pt"))}
    return Step("data.transcript.viewed", "transcripts", _call_id(rng), details)


def _update_record(rng: Random) -> Step:
    before, after = rng.sample(("open", "follow-up", "closed", "escalated"), 2)
    details = {"disposition": {"before": before, "after": after}}
    return Step("data.record.updated", "voice_call_records", _call_id(rng), details)


def view_incident(rng: Random) -> Step:
    """Look at an incident: what people on duty do at any hour."""
    details = {"severity": rng.choice(("sev1", "sev2", "sev3"))}
    return Step("data.incident.viewed", "incidents", f"inc_{rng.randrange(2000, 9000)}", details)


def _view_report(rng: Random) -> Step:
    details = {"period": rng.choice(("day", "week", "month"))}
    return Step("data.report.viewed", "reports", f"rep_{rng.randrange(40)}", details)


def _update_schedule(rng: Random) -> Step:
    first, second = rng.sample(("mia", "olu", "li", "dan", "priya"), 2)
    details = {"before": {"primary": first}, "after": {"primary": second}}
    return Step("settings.schedule.updated", "schedules", f"rota_{rng.randrange(12)}", details)


def _update_routing(rng: Random) -> Step:
    details = {"queue": rng.choice(_QUEUES), "before": "round robin", "after": "longest idle"}
    return Step("settings.routing_rule.updated", "routing_rules", "", details)


def _lengthen_retention(rng: Random) -> Step:
    before, after = rng.choice((("90 days", "180 days"), ("180 days", "1 year")))
    details = {"before": before, "after": after, "reason": "compliance requirement update"}
    return Step("settings.retention_policy.updated", "voice_recordings", "", details)


def _grant_role(rng: Random) -> Step:
    target = rng.choice(("li.wei@company.com", "dan.cohen@company.com", "priya.nair@company.com"))
    details = {
        "target_user": target,
        "role": "supervisor",
        "before": "agent",
        "after": "supervisor",
    }
    return Step("permission.role.granted", "users", target, details)


def _create_user(rng: Random) -> Step:
    target = f"new.hire{rng.randrange(100)}@company.com"
    return Step(
        "permission.user.created", "users", target, {"target_user": target, "role": "agent"}
    )


def _deny_access(rng: Random) -> Step:
    details = {"permission": rng.choice(("reports.export", "settings.write"))}
    return Step("permission.access.denied", "reports", "", details, "role lacks the permission")


def call_api(rng: Random) -> Step:
    """Call the API; once in a while it fails."""
    is_ok = rng.random() < 0.97  # noqa: PLR2004 - of a hundred calls three fail
    details = {
        "method": rng.choice(("GET", "GET", "POST", "PATCH")),
        "path": rng.choice(_ENDPOINTS),
        "status": 200 if is_ok else rng.choice((404, 429, 500)),
        "duration_ms": rng.randrange(3, 400),
    }
    return Step("api.request.success" if is_ok else "api.request.failed", "api", "", details)


def _rotate_key(rng: Random) -> Step:
    return Step("api.key.rotated", "api_keys", "", {"key_id": f"key_{rng.randrange(90):02}"})


def _export_few(rng: Random) -> Step:
    count = rng.randrange(20, 400)
    details = {
        "date_range": "last 7 days",
        "format": rng.choice(("csv", "xlsx")),
        "record_count": count,
        "file_size_mb": round(count * 0.008, 1),
    }
    return Step("export.report.completed", "reports", f"exp_{rng.getrandbits(24):06x}", details)


def sync_crm(rng: Random) -> Step:
    """Send records to the customer system."""
    details = {"record_count": rng.randrange(5, 120)}
    return Step("integration.salesforce.synced", "integrations", "salesforce", details)


def _sync_okta(rng: Random) -> Step:
    details = {"added": rng.randrange(3), "removed": rng.randrange(2)}
    return Step("integration.okta.synced", "integrations", "okta", details)


def _create_webhook(rng: Random) -> Step:
    details = {"url": "https://hooks.example.com/calls", "events": ["call.ended", "call.missed"]}
    return Step("integration.webhook.created", "webhooks", f"wh_{rng.randrange(100)}", details)


def _fail_webhook(rng: Random) -> Step:
    details = {
        "url": "https://hooks.example.com/calls",
        "status": 503,
        "attempt": rng.randrange(1, 4),
    }
    return Step("integration.webhook.failed", "webhooks", f"wh_{rng.randrange(100)}", details)


def _block_address(rng: Random) -> Step:
    details = {"cause": "too many attempts"}
    return Step("security.ip.blocked", "network", f"198.51.100.{rng.randrange(1, 255)}", details)


def _see_anomaly(rng: Random) -> Step:
    details = {"score": round(rng.uniform(0.4, 0.8), 2), "kind": "call volume"}
    return Step("security.anomaly.detected", "queues", rng.choice(_QUEUES), details)


_READING: Final = (_view_record, _view_record, _search_records, _play_recording, _view_transcript)

# What a role does in working hours; repeated entries are done more often. Changes of settings and
# rights are rarer than that: producers/sample_changes.py.
_CALLING: Final = (call_api, call_api, call_api)
WORK: Final[Mapping[str, tuple[Deed, ...]]] = MappingProxyType(
    {
        "agent": (*_READING, _update_record, view_incident, call_api, _deny_access),
        "supervisor": (*_READING, _view_report, _export_few, view_incident),
        "compliance": (*_READING, _view_report, _export_few),
        "analyst": (_search_records, _view_report, _view_report, _export_few, _view_transcript),
        "engineer": (*_CALLING, view_incident),
        "admin": (_sync_okta, _view_report, view_incident, call_api),
        "service": (sync_crm, *_CALLING, _fail_webhook, _block_address, _see_anomaly),
    }
)
# What is done at night and on weekends: nothing that touches protected data.
DUTY: Final[tuple[Deed, ...]] = (view_incident, view_incident, call_api)

# Benches have changes among all the rest, as they always had: their numbers stay comparable.
DENSE_WORK: Final[Mapping[str, tuple[Deed, ...]]] = MappingProxyType(
    {
        **WORK,
        "supervisor": (*_READING, _view_report, _update_schedule, _export_few, view_incident),
        "compliance": (*_READING, _view_report, _lengthen_retention, _export_few),
        "engineer": (*_CALLING, view_incident, _rotate_key, _create_webhook),
        "admin": (_grant_role, _create_user, _update_routing, _sync_okta, _rotate_key),
    }
)
DENSE_DUTY: Final[tuple[Deed, ...]] = (*DUTY, _update_schedule)
