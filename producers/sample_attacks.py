"""The attacks among the sample traffic, each of which one single-event detection finds."""

from collections.abc import Callable
from random import Random
from typing import Final

from producers.sample_people import INTRUDER_ADDRESSES, INTRUDER_AGENT, PEOPLE, Person
from producers.sample_work import Step

Attack = tuple[Person, tuple[Step, ...]]

_LOGIN: Final = Step("authentication.login.success", details={"method": "password"})


def _by(user: str, rng: Random) -> Person:
    person = next(person for person in PEOPLE if person.user == user)
    return person._replace(addresses=(rng.choice(INTRUDER_ADDRESSES),), agent=INTRUDER_AGENT)


def _guess_admin_password(rng: Random) -> Attack:
    steps = tuple(
        Step(
            "authentication.login.failed",
            details={"method": "password", "cause": "wrong password", "attempt": attempt},
        )
        for attempt in range(1, rng.randrange(4, 8))
    )
    return _by("admin@company.com", rng), steps


def _shorten_retention(rng: Random) -> Attack:
    change = {"before": "180 days", "after": "1 day", "reason": "storage costs"}
    step = Step("settings.retention_policy.updated", "voice_recordings", "", change)
    return _by("grace.kim@company.com", rng), (_LOGIN, step)


def _export_everything(rng: Random) -> Attack:
    count = rng.randrange(20_000, 90_000)
    details = {
        "date_range": "2024-01-01 to 2025-12-31",
        "format": "csv",
        "record_count": count,
        "file_size_mb": round(count * 0.008, 1),
    }
    step = Step("data.export.completed", "voice_call_records", "", details)
    return _by("tom.evans@company.com", rng), (_LOGIN, step)


def _make_admin(rng: Random) -> Attack:
    target = "dan.cohen@company.com"
    details = {"target_user": target, "role": "admin", "before": "agent", "after": "admin"}
    step = Step("permission.role.granted", "users", target, details)
    return _by("grace.kim@company.com", rng), (_LOGIN, step)


def _switch_mfa_off(rng: Random) -> Attack:
    details = {"scope": "organisation", "before": "required", "after": "off"}
    step = Step("security.mfa.disabled", "authentication_policy", "", details)
    return _by("admin@company.com", rng), (_LOGIN, step)


def _switch_audit_off(rng: Random) -> Attack:
    details = {"scope": "recordings", "before": True, "after": False}
    step = Step("security.audit.disabled", "audit_settings", "", details)
    return _by("admin@company.com", rng), (_LOGIN, step)


def _listen_at_night(rng: Random) -> Attack:
    steps = tuple(
        Step("data.recording.played", "voice_recordings", f"call_{rng.getrandbits(40):010x}")
        for _ in range(3)
    )
    return _by("ivan.petrov@company.com", rng), (_LOGIN, *steps)


ATTACKS: Final[tuple[Callable[[Random], Attack], ...]] = (
    _guess_admin_password,
    _shorten_retention,
    _export_everything,
    _make_admin,
    _switch_mfa_off,
    _switch_audit_off,
    _listen_at_night,
)
