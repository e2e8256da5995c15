"""The schedule of deliveries: a day of attempts, then an end; the past is never sent."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.schedule import (
    ATTEMPTS_MAX,
    DIGEST,
    WAIT_MS_MAX,
    WINDOW_MS,
    Attempt,
    first,
    held,
    is_past,
    judge,
    moment_ms,
    resume,
    wait_ms,
)
from schemas.alert import Alert, alert_id

RECORDED = "2025-10-12T10:00:00.250Z"
NOW_MS = moment_ms(RECORDED) + 40


def make(**fields: object) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": alert_id("r", 1, "g", "e"),
            "rule_id": "r",
            "rule_version": 1,
            "title": "t",
            "severity": "high",
            "tenant": "default",
            "group": "g",
            "summary": "s",
            "occurred": RECORDED,
            "recorded": RECORDED,
        }
        | fields
    )


def test_a_target_that_takes_it_ends_it() -> None:
    attempt, again = judge(first(make(), "hook", NOW_MS), None, NOW_MS + 5)
    assert (attempt.outcome, attempt.attempt, attempt.at_ms) == ("delivered", 1, NOW_MS + 5)
    assert again is None


def test_a_target_that_stays_away_is_tried_for_a_day_and_given_up() -> None:
    due = first(make(), "hook", NOW_MS)
    now_ms, waits, attempts = NOW_MS, list[int](), 0
    while True:
        attempts += 1
        attempt, again = judge(due, "refused", now_ms)
        if again is None:
            break
        waits.append(again.not_before_ms - now_ms)
        now_ms, due = again.not_before_ms, again
    assert attempt.outcome == "given_up"
    assert waits[:4] == [1_000, 2_000, 4_000, 8_000]
    assert waits == sorted(waits)
    assert WINDOW_MS - WAIT_MS_MAX <= now_ms - moment_ms(RECORDED) < WINDOW_MS
    assert attempts < ATTEMPTS_MAX / 5


@given(st.integers(1, 10_000))
def test_waits_have_a_bound(attempt: int) -> None:
    assert 1_000 <= wait_ms(attempt) <= wait_ms(attempt + 1) <= WAIT_MS_MAX


def test_the_past_is_past_by_mark_or_by_age() -> None:
    edge_ms = moment_ms(RECORDED) + WINDOW_MS
    assert not is_past(make(), edge_ms - 1)
    assert is_past(make(), edge_ms)
    assert is_past(make(historical=True), NOW_MS)


def test_a_restart_makes_the_attempt_that_is_due_and_no_other() -> None:
    alert = make()
    due = first(alert, "hook", NOW_MS)
    failed, again = judge(due, "refused", NOW_MS)
    assert resume(alert, "hook", failed) == again
    delivered, _ = judge(due, None, NOW_MS)
    assert resume(alert, "hook", delivered) is None
    given_up = Attempt(alert.alert_id, "hook", 9, NOW_MS, "given_up", "refused", NOW_MS)
    assert resume(alert, "hook", given_up) is None
    unseen = resume(alert, "hook", None)
    assert unseen is not None
    assert unseen.attempt == 1


def test_what_was_held_keeps_its_reason_through_failures_and_a_restart() -> None:
    now_ms = moment_ms(RECORDED)
    due = held(make(), "x", now_ms + 60_000, DIGEST)
    tried, again = judge(due, "refused", now_ms + 60_000)
    assert (tried.outcome, tried.error) == ("deferred", "digest/refused")
    assert again is not None
    assert (again.reason, again.attempt) == (DIGEST, 2)
    resumed = resume(make(), "x", tried, first_ms=now_ms + 60_000)
    assert resumed is not None
    assert (resumed.reason, resumed.attempt, resumed.not_before_ms) == (DIGEST, 2, tried.next_ms)
    assert resumed.gives_up_ms == due.gives_up_ms
    done, none = judge(resumed, None, tried.next_ms)
    assert (done.outcome, done.error, none) == ("delivered", "digest", None)


def test_what_was_held_is_tried_for_a_day_from_when_it_was_due() -> None:
    due = held(make(), "x", moment_ms(RECORDED) + 20 * 3_600_000, DIGEST)
    gone, none = judge(due, "refused", due.gives_up_ms - 1)
    assert (gone.outcome, none) == ("given_up", None)
    assert due.gives_up_ms == moment_ms(RECORDED) + 20 * 3_600_000 + WINDOW_MS
