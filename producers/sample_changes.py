"""The rare deeds of the sample: changes of settings and rights, so many a week as real ones are.

They come by the calendar and not by the pace, so that faster traffic has no more of them; most
name who approved them.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from producers.sample_people import PEOPLE
from producers.sample_work import Step

_SLOTS_PER_DAY: Final = 144  # of ten minutes, as in producers/sample.py
_SLOTS_PER_WEEK: Final = 7 * _SLOTS_PER_DAY
_FIRST_MONDAY: Final = 4 * _SLOTS_PER_DAY  # the epoch was a Thursday
_FIRST_SLOT, _LAST_SLOT = 7 * 6, 18 * 6  # of a working day, UTC
_WEEKDAYS: Final = 5
_APPROVED: Final = 0.85  # of the changes name who approved them


class _Change(NamedTuple):
    """One kind: who does it, how often in a week, and the step of the one with that number."""

    role: str
    per_week: int
    make: Callable[[Random, int], Step]


_AGENTS: Final = ("li.wei", "dan.cohen", "priya.nair", "mia.schmidt", "olu.adeyemi", "carlos.souza")
_GRANTS: Final = (
    ("agent", "supervisor", "covers the night line while Jane is away"),
    ("agent", "quality reviewer", "joins the quality circle"),
    ("viewer", "agent", "training completed"),
    ("agent", "shift planner", "plans the rota of the emergency queue"),
    ("agent", "analyst", "evaluates the customer survey"),
    ("agent", "supervisor", "promoted at the yearly review"),
    ("supervisor", "agent", "back from cover"),
)
_KEPT: Final = (
    ("voice_recordings", "recordings of patients are asked for after a year"),
    ("transcripts", "contract with North Clinic, annex 3"),
    ("voicemails", "dispute of the billing queue"),
    ("call_records", "tax law: as long as invoices"),
    ("chat_messages", "complaints may come within the warranty"),
    ("reports", "request of the internal audit"),
)
_SPANS: Final = ("90 days", "180 days", "1 year", "2 years", "3 years", "5 years")
_QUEUES: Final = ("billing", "emergency", "front desk", "sales", "night line")
_ROUTINGS: Final = ("round robin", "longest idle", "by skill", "ring all", "by language")
_HIRES: Final = ("anna.berg", "joao.lima", "kofi.mensah", "nina.popov", "sam.taylor", "yuki.sato")
_HOOKS: Final = ("crm", "billing", "wallboard", "surveys", "paging")


def _keep_longer(_rng: Random, number: int) -> Step:
    rung, which = divmod(number, len(_KEPT))  # no two in a row are of the same data
    resource, reason = _KEPT[which]
    rung %= len(_SPANS) - 1
    details = {"before": _SPANS[rung], "after": _SPANS[rung + 1], "reason": reason}
    return Step("settings.retention_policy.updated", resource, "", details)


def _grant_role(rng: Random, number: int) -> Step:
    target = f"{_AGENTS[number % len(_AGENTS)]}@company.com"
    before, after, reason = rng.choice(_GRANTS)
    details = {"target_user": target, "role": after, "before": before, "after": after}
    return Step("permission.role.granted", "users", target, details, reason)


def _create_user(rng: Random, number: int) -> Step:
    target = f"{_HIRES[number % len(_HIRES)]}{number % 90 + 10}@company.com"
    details = {"target_user": target, "role": rng.choice(("agent", "agent", "viewer"))}
    return Step("permission.user.created", "users", target, details, "new colleague")


def _route(rng: Random, _number: int) -> Step:
    before, after = rng.sample(_ROUTINGS, 2)
    reason = rng.choice(("callers waited too long", "trial of a fortnight", "new shift model"))
    details = {"queue": rng.choice(_QUEUES), "before": before, "after": after}
    return Step("settings.routing_rule.updated", "routing_rules", "", details, reason)


def _replan(rng: Random, _number: int) -> Step:
    before, after = rng.sample(("mia", "olu", "li", "dan", "priya", "carlos"), 2)
    reason = rng.choice(("swap of shifts", "sick leave", "holiday", "training"))
    details = {"before": {"primary": before}, "after": {"primary": after}}
    return Step(
        "settings.schedule.updated", "schedules", f"rota_{rng.randrange(12)}", details, reason
    )


def _add_webhook(rng: Random, number: int) -> Step:
    url = f"https://hooks.example.com/{_HOOKS[number % len(_HOOKS)]}"
    details = {"url": url, "events": ["call.ended", "call.missed"]}
    return Step("integration.webhook.created", "webhooks", f"wh_{rng.randrange(100)}", details)


def _rotate_key(rng: Random, _number: int) -> Step:
    return Step("api.key.rotated", "api_keys", "", {"key_id": f"key_{rng.randrange(90):02}"})


CHANGES: Final[Mapping[str, _Change]] = MappingProxyType(
    {
        "retention": _Change("compliance", 2, _keep_longer),
        "role": _Change("admin", 15, _grant_role),
        "user": _Change("admin", 6, _create_user),
        "routing": _Change("admin", 8, _route),
        "schedule": _Change("supervisor", 30, _replan),
        "webhook": _Change("engineer", 3, _add_webhook),
        "key": _Change("engineer", 10, _rotate_key),
    }
)


def chance(key: str) -> Random:
    """Return a source of chance that is the same for the same key."""
    return Random(key)  # noqa: S311 - repeatable, not secret


def changes_in(seed: int, slot: int) -> Iterator[tuple[Random, str, Step]]:
    """Yield the changes of one slot of time: a source of chance, the role, the step."""
    week, place = divmod(slot - _FIRST_MONDAY, _SLOTS_PER_WEEK)
    for name, turn in _calendar(seed, week).get(place, ()):
        change = CHANGES[name]
        rng = chance(f"{seed}/{slot}/{name}/{turn}")
        step = change.make(rng, week * change.per_week + turn)
        yield rng, change.role, _approved(step, change.role, rng)


@lru_cache(maxsize=8)
def _calendar(seed: int, week: int) -> dict[int, list[tuple[str, int]]]:
    """Say for each slot of a week which changes it has."""
    found: dict[int, list[tuple[str, int]]] = {}
    for name, change in CHANGES.items():
        rng = chance(f"{seed}/{week}/{name}")
        places = sorted(
            rng.randrange(_WEEKDAYS) * _SLOTS_PER_DAY + rng.randrange(_FIRST_SLOT, _LAST_SLOT)
            for _ in range(change.per_week)
        )
        for turn, place in enumerate(places):
            found.setdefault(place, []).append((name, turn))
    return found


def _approved(step: Step, role: str, rng: Random) -> Step:
    """Name in most changes who approved them: somebody else, by a role that may."""
    if rng.random() >= _APPROVED:
        return step
    approvers = [
        person.user
        for person in PEOPLE
        if person.role in {"compliance", "supervisor"} - {role} and person.tenant == "default"
    ]
    details: dict[str, Any] = {**step.details, "approved_by": rng.choice(approvers)}
    return step._replace(details=details)
