"""Sample traffic of the DutyCall platform: sessions of people and services, a few attacks.

Pure: the same seed, start and pace give the same events, ids included. Time is cut into slots
of ten minutes; a slot's sessions depend on the seed and the slot alone, so that any moment can
be generated without all that came before.
"""

import heapq
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import count
from operator import itemgetter
from random import Random
from typing import Any, Final, NamedTuple

from producers.sample_attacks import ATTACKS
from producers.sample_changes import chance, changes_in
from producers.sample_people import PEOPLE, SERVICES, Person
from producers.sample_work import DENSE_DUTY, DENSE_WORK, DUTY, WORK, Deed, Step
from schemas.catalogue import result_of

SLOT_MS: Final = 600_000
SLOTS_PER_SESSION_MAX: Final = 6  # no session lasts longer than an hour
EVENTS_PER_SESSION: Final = 12  # on average, from the lengths below
OPENING_EVERY_MS: Final = 15_000  # all attacks within two minutes
OPENING_STEP_MS: Final = 1_500
_FIRST_HOUR, _LAST_HOUR = 6, 20  # the detections' working hours, UTC
_SATURDAY: Final = 5
_SESSION_MS_MAX: Final = SLOT_MS * (SLOTS_PER_SESSION_MAX - 1)
_STAFF: Final = tuple(person for person in PEOPLE if person.tenant == "default")
_LOGIN: Final = Step(
    "authentication.login.success", details={"method": "sso", "provider": "okta", "mfa": True}
)
_LOGOUT: Final = Step("authentication.logout.success", details={"session_seconds": 600})

Event = dict[str, Any]


class Mix(NamedTuple):
    """What sessions are made of. Of ordinary failures only the share `failures` is kept."""

    attacks: float = 0.02  # share of the sessions
    work: Mapping[str, tuple[Deed, ...]] = WORK
    duty: tuple[Deed, ...] = DUTY
    failures: float = 1.0
    has_changes: bool = True


LIVE: Final = Mix()
# Played at once, days late: an attack among it would be found as one that somebody backdated,
# and so would many failures from one address.
PAST: Final = Mix(attacks=0.0, failures=0.05)
DENSE: Final = Mix(attacks=0.04, work=DENSE_WORK, duty=DENSE_DUTY, has_changes=False)


def sample(
    seed: int,
    start_ms: int,
    end_ms: int | None = None,
    *,
    events_per_hour: float = 3_600.0,
    mix: Mix = LIVE,
) -> Iterator[Event]:
    """Yield events in order of their timestamps, in [start_ms, end_ms), without an end if None.

    `events_per_hour` is what a working hour has on average; nights have a third of it.
    """
    pending: list[tuple[int, str, Event]] = []
    for slot in count(start_ms // SLOT_MS - SLOTS_PER_SESSION_MAX + 1):
        slot_end_ms = (slot + 1) * SLOT_MS
        for moment_ms, event in _slot(seed, slot, events_per_hour, mix):
            if moment_ms >= start_ms:
                heapq.heappush(pending, (moment_ms, event["event_id"], event))
        while pending and pending[0][0] < slot_end_ms:
            moment_ms, _, event = heapq.heappop(pending)
            if end_ms is not None and moment_ms >= end_ms:
                return
            yield event
        if end_ms is not None and slot_end_ms >= end_ms:
            return


def opening(seed: int, start_ms: int) -> Iterator[Event]:
    """Yield one attack of each kind, within minutes: so that whoever looks first finds some.

    In order of their timestamps, from `start_ms` on.
    """
    rng = chance(f"{seed}/opening/{start_ms}")
    moments: list[tuple[int, Event]] = []
    for attack, begin in enumerate(ATTACKS, 1):
        person, steps = begin(rng)
        address, session = rng.choice(person.addresses), f"sess_{rng.getrandbits(48):012x}"
        for number, step in enumerate(steps):
            moment_ms = start_ms + attack * OPENING_EVERY_MS + number * OPENING_STEP_MS
            identity = {
                "event_id": f"sample-{seed}-opening-{start_ms}-{session[5:]}-{number}",
                "ip_address": address,
                "session_id": session,
            }
            moments.append((moment_ms, _event(moment_ms, identity, person, step)))
    yield from (event for _, event in sorted(moments, key=itemgetter(0)))


def _slot(seed: int, slot: int, events_per_hour: float, mix: Mix) -> Iterator[tuple[int, Event]]:
    """Yield all events of the sessions that begin in one slot."""
    rng = chance(f"{seed}/{slot}")
    begin = datetime.fromtimestamp(slot * SLOT_MS // 1000, UTC)
    is_day = begin.weekday() < _SATURDAY and _FIRST_HOUR <= begin.hour < _LAST_HOUR - 1
    expected = events_per_hour * SLOT_MS / 3_600_000 / EVENTS_PER_SESSION
    sessions = _rounded(expected if is_day else expected / 3, rng)
    for number in range(sessions):
        session_rng = chance(f"{seed}/{slot}/{number}")
        if session_rng.random() < mix.attacks:
            person, steps = session_rng.choice(ATTACKS)(session_rng)
        else:
            person, steps = _work(session_rng, mix, is_day=is_day)
        yield from _session(session_rng, seed, slot, person, steps)
    if mix.has_changes:
        for change_rng, role, step in changes_in(seed, slot):
            person = change_rng.choice([who for who in _STAFF if who.role == role])
            yield from _session(change_rng, seed, slot, person, (_LOGIN, step, _LOGOUT))


def _rounded(expected: float, rng: Random) -> int:
    """Round up or down by chance, so that small numbers come out right on average."""
    return int(expected) + (rng.random() < expected % 1)


def _session(
    rng: Random, seed: int, slot: int, person: Person, steps: tuple[Step, ...]
) -> Iterator[tuple[int, Event]]:
    session_id = f"sess_{rng.getrandbits(48):012x}"
    address = rng.choice(person.addresses)
    moment_ms = slot * SLOT_MS + rng.randrange(SLOT_MS)
    pause_ms = _SESSION_MS_MAX // max(len(steps), 8)
    for number, step in enumerate(steps):
        identity = {
            "event_id": f"sample-{seed}-{slot}-{session_id[5:]}-{number}",
            "ip_address": address,
            "session_id": session_id,
        }
        yield moment_ms, _event(moment_ms, identity, person, step)
        moment_ms += rng.randrange(200, pause_ms)


def _work(rng: Random, mix: Mix, *, is_day: bool) -> tuple[Person, tuple[Step, ...]]:
    """Compose an ordinary session: login, work, logout; services stay signed in."""
    person = rng.choice(SERVICES) if rng.random() < 0.25 else rng.choice(PEOPLE)  # noqa: PLR2004
    deeds = mix.work[person.role] if is_day or person.role == "service" else mix.duty
    work = tuple(rng.choice(deeds)(rng) for _ in range(rng.randrange(4, 18)))
    if person.role == "service":
        return person, _spared(work, mix, rng)
    opening = [_LOGIN]
    if rng.random() < 0.06 and person.role != "admin":  # noqa: PLR2004 - who has no bad mornings
        slip = {"method": "password", "cause": "wrong password", "attempt": 1}
        opening.insert(0, Step("authentication.login.failed", details=slip))
    closing = Step("authentication.logout.success", details={"session_seconds": 60 * len(work)})
    return person, _spared((*opening, *work, closing), mix, rng)


def _spared(steps: tuple[Step, ...], mix: Mix, rng: Random) -> tuple[Step, ...]:
    """Leave failures out, but for their share."""
    return tuple(
        step
        for step in steps
        if mix.failures >= 1
        or result_of(step.action) in {"success", "unknown"}
        or rng.random() < mix.failures
    )


def _event(moment_ms: int, identity: dict[str, str], person: Person, step: Step) -> Event:
    seconds, ms = divmod(moment_ms, 1000)
    event = {
        **identity,
        "timestamp": f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03}Z",
        "tenant": person.tenant,
        "user": person.user,
        "role": person.role,
        "action": step.action,
        "resource": step.resource,
        "resource_id": step.resource_id,
        "user_agent": person.agent,
        "source": "dutycall-api" if person.role == "service" else "dutycall-web",
        "reason": step.reason,
        "details": dict(step.details),
    }
    return {name: value for name, value in event.items() if value}
