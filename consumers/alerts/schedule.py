"""When to try a delivery: a state machine without clock or I/O.

due → (attempt) → delivered | failed, due again later → … → given_up once the day is over.
Or deferred first: held until its time, for a reason that stays with it until it is delivered.
Alerts of the past are suppressed from the start: stored, shown, never sent.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal

from schemas.alert import Alert

WINDOW_MS: Final = 24 * 3_600_000  # after a day nobody should be paged for it
FIRST_WAIT_MS: Final = 1_000
WAIT_MS_MAX: Final = 15 * 60_000  # a target that comes back is noticed within a quarter of an hour
ATTEMPTS_MAX: Final = 1_000  # far more than the waits let fit into a day: a bound, not a policy

THROTTLED: Final = "throttled"
QUIET: Final = "quiet"
DIGEST: Final = "digest"
ESCALATION: Final = "escalation"
GATHERED: Final = frozenset({THROTTLED, QUIET, DIGEST})  # when due, all of a target go as one

Outcome = Literal["delivered", "failed", "given_up", "suppressed", "deferred"]


@dataclass(frozen=True, slots=True)
class Due:
    """One alert that one target has not got yet: the attempt to make next, and not before when.

    `reason` is why it was held back, "" if it was not; `note` tells the target more. `lead_id` is
    the alert whose acknowledgement counts for this one.
    """

    alert: Alert
    target: str
    attempt: int
    not_before_ms: int
    gives_up_ms: int
    reason: str = ""
    note: str = ""
    lead_id: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of the table of deliveries. `error` is a kind, never what a target answered.

    Of what is deferred it is the reason, then `/` and the kind if an attempt failed.
    """

    alert_id: str
    target: str
    attempt: int
    at_ms: int
    outcome: Outcome
    error: str
    next_ms: int


def wait_ms(attempt: int) -> int:
    """Return how long to wait after that many attempts (from 1): doubling, bounded."""
    assert attempt >= 1, "there is no wait before the first attempt"
    return int(min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** min(attempt - 1, 30)))


def is_past(alert: Alert, now_ms: int, window_ms: int = WINDOW_MS) -> bool:
    """Say whether the alert tells of the past, so that it must not page anyone as if it were now.

    Such is what the pipeline marked as historical, and what a replay of the topic brings back.
    """
    return alert.historical or moment_ms(alert.recorded) + window_ms <= now_ms


def first(alert: Alert, target: str, now_ms: int, window_ms: int = WINDOW_MS) -> Due:
    """Return the first delivery: at once, and tried until the alert is a window old."""
    return Due(alert, target, 1, now_ms, moment_ms(alert.recorded) + window_ms)


def held(alert: Alert, target: str, until_ms: int, reason: str) -> Due:
    """Return a delivery that waits for its time, and then is tried for a window."""
    return Due(alert, target, 1, until_ms, until_ms + WINDOW_MS, reason)


def suppressed(alert: Alert, target: str, now_ms: int, why: str = "historical") -> Attempt:
    """Return the row that says why a target never heard of an alert."""
    return Attempt(alert.alert_id, target, 0, now_ms, "suppressed", why, now_ms)


def judge(due: Due, error: str | None, now_ms: int) -> tuple[Attempt, Due | None]:
    """Return what to record of an attempt that ended now, and the next one, if there is to be one.

    `error` is None if the target took it. The last attempt that still fits is always made.
    """
    if error is None:
        return _row(due, "delivered", due.reason, now_ms, now_ms), None
    next_ms = now_ms + wait_ms(due.attempt)
    if next_ms >= due.gives_up_ms or due.attempt >= ATTEMPTS_MAX:
        return _row(due, "given_up", error, now_ms, now_ms), None
    again = replace(due, attempt=due.attempt + 1, not_before_ms=next_ms)
    if due.reason:
        return _row(due, "deferred", f"{due.reason}/{error}", now_ms, next_ms), again
    return _row(due, "failed", error, now_ms, next_ms), again


def settled(due: Due, now_ms: int) -> Attempt:
    """Return the row of an escalation that is not needed: somebody has taken the alert on."""
    return _row(due, "suppressed", "acknowledged", now_ms, now_ms)


def resume(
    alert: Alert,
    target: str,
    last: Attempt | None,
    window_ms: int = WINDOW_MS,
    first_ms: int | None = None,
) -> Due | None:
    """Return what the table of deliveries leaves to do: the attempt after `last`; None if done.

    An attempt that was made but not recorded, because the process died between, is made again.
    What was held is tried for a window from `first_ms` on, when it was first due.
    """
    gives_up_ms = moment_ms(alert.recorded) + window_ms
    if last is None:
        return Due(alert, target, 1, 0, gives_up_ms)
    if last.outcome == "deferred":
        gives_up_ms = max(gives_up_ms, (first_ms or last.next_ms) + window_ms)
        reason = last.error.split("/", 1)[0]
        return Due(alert, target, last.attempt + 1, last.next_ms, gives_up_ms, reason)
    if last.outcome != "failed":
        return None
    return Due(alert, target, last.attempt + 1, last.next_ms, gives_up_ms)


def moment_ms(text: str) -> int:
    """Return the milliseconds of an alert's time. RFC 3339 with a zone; raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return int((moment - _EPOCH).total_seconds() * 1000)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _row(due: Due, outcome: Outcome, error: str, now_ms: int, next_ms: int) -> Attempt:
    return Attempt(due.alert.alert_id, due.target, due.attempt, now_ms, outcome, error, next_ms)
