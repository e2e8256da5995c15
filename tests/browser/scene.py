"""The events that every browser test may rely on: few, fixed but for the hour they lie in.

`moment(n)` is n minutes after the scene began. Users: jane.doe works, admin changes settings,
tom.evans takes what he should not, an intruder at 198.51.100.66 guesses the password of grace.kim,
a service syncs. Recent, so that their alerts are of today; ids are scene-000, scene-001, …
"""

import time
from datetime import UTC, datetime
from typing import Any, Final

Event = dict[str, Any]

BEGAN_S: Final = int(time.time()) // 60 * 60 - 3 * 3_600
JANE, ADMIN, TOM, GRACE = (
    f"{name}@company.com" for name in ("jane.doe", "admin", "tom.evans", "grace.kim")
)
SYNC: Final = "crm-sync"
OFFICE, HOME, INTRUDER = "203.0.113.42", "203.0.113.77", "198.51.100.66"
S_JANE, S_ADMIN, S_TOM, S_GRACE = "sess_jane01", "sess_admin01", "sess_tom01", "sess_grace66"
RECORD: Final = "rec_4711"


def moment(minutes: float) -> str:
    """Return a moment of the scene."""
    return f"{datetime.fromtimestamp(BEGAN_S + int(minutes * 60), UTC):%Y-%m-%dT%H:%M:%SZ}"


def _by(user: str, address: str, session: str, *done: tuple[Any, ...]) -> list[Event]:
    """Return events of one user; each is (minutes, action, fields)."""
    return [
        {
            "timestamp": moment(minutes),
            "user": user,
            "action": action,
            "ip_address": address,
            "session_id": session,
            "details": {},
            **fields,
        }
        for minutes, action, fields in done
    ]


def _retention(before: str, after: str, reason: str = "") -> Event:
    details = {"before": before, "after": after, "reason": reason}
    return {"resource": "voice_recordings", "resource_id": "retention", "details": details}


_LOGIN: Final = "authentication.login.success"
_FAILED: Final = "authentication.login.failed"
_SETTING: Final = "settings.retention_policy.updated"
_VIEWED: Final = "data.record.viewed"
_CALL: Final[Event] = {"resource": "voice_call_records", "resource_id": RECORD}

_EVENTS: Final = [
    *_by(
        JANE,
        OFFICE,
        S_JANE,
        (0, _LOGIN, {"details": {"method": "sso", "provider": "okta"}}),
        *(
            (n, _VIEWED, {**_CALL, "reason": "customer complaint 881", "request_id": f"req-{n}"})
            for n in (2, 4, 6)
        ),
        (8, "data.recording.played", {"resource": "voice_recordings", "resource_id": RECORD}),
        (30, "authentication.logout", {}),
    ),
    *_by(
        ADMIN,
        OFFICE,
        S_ADMIN,
        (1, _LOGIN, {"details": {"method": "password"}}),
        (10, _SETTING, _retention("30 days", "90 days", "contract")),
        (70, _SETTING, _retention("90 days", "180 days", "compliance requirement update")),
        (75, "security.mfa.disabled", {"details": {"before": "required", "after": "off"}}),
        (
            80,
            "permission.role.granted",
            {
                "resource": "users",
                "resource_id": TOM,
                "details": {"role": "admin", "before": "agent", "after": "admin"},
            },
        ),
    ),
    *_by(
        TOM,
        HOME,
        S_TOM,
        (90, _LOGIN, {"details": {"method": "password"}}),
        (92, _VIEWED, {**_CALL, "reason": "audit"}),
        (
            95,
            "data.export.completed",
            {
                "resource": "voice_call_records",
                "details": {"format": "csv", "record_count": 52_301, "file_size_mb": 418.4},
            },
        ),
    ),
    *_by(
        GRACE,
        INTRUDER,
        S_GRACE,
        *((100 + n / 4, _FAILED, {"details": {"cause": "wrong password"}}) for n in range(8)),
        (103, _LOGIN, {"details": {"method": "password"}}),
        (105, _SETTING, _retention("180 days", "1 day", "storage costs")),
        (106, _VIEWED, _CALL),
    ),
    *_by(
        SYNC,
        "192.0.2.10",
        "sess_sync01",
        *(
            (20 + 5 * n, "api.request.completed", {"resource": "contacts", "source": "crm"})
            for n in range(20)
        ),
    ),
]

EVENTS: Final[tuple[Event, ...]] = tuple(
    {"event_id": f"scene-{n:03}", **event}
    for n, event in enumerate(sorted(_EVENTS, key=lambda event: str(event["timestamp"])))
)


def of(**wanted: str) -> list[Event]:
    """Return the events that have these values, oldest first."""
    return [event for event in EVENTS if wanted.items() <= event.items()]
