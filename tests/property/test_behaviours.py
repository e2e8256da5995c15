"""Laws of behaviours: any delivery gives what a plain reading of the whole history gives."""

from itertools import pairwise
from math import fsum, sqrt
from random import Random
from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st

from detections.stateful.keeper import Keeper
from detections.stateful.memory import Terms
from detections.stateful.places import PLACES, distance_km
from schemas.alert import alert_id
from tests.property.stateful_history import (
    END_MS,
    TERMS,
    Delivery,
    Event,
    behaviour,
    correlation,
    deliver,
    histories,
    ruleset,
)

SEEDS = st.integers(0, 2**32)
DAY = 86_400_000
HOUR = 3_600_000
MINUTE = 60_000
WEEK = 168

# Lags of the histories are in units of theirs: a day's history needs a day's grace.
WIDE = Terms(grace_ms=100 * DAY, future_ms=100 * DAY, slack_ms=HOUR)


def _id(bucket: int, label: str = "") -> str:
    return alert_id("rule", 1, f"user=jane{label}", f"window:{bucket}")


def _in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event.recorded_ms, event.partition, event.offset))


@settings(max_examples=200, deadline=None)
@given(
    histories(st.sampled_from(["DE", "FR", "US"]), unit_ms=DAY // 4, span=400),
    SEEDS,
    st.integers(0, 20),
    st.integers(1, 40),
)
def test_first_seen_is_that_of_the_whole_history(
    events: list[Event], seed: int, learning: int, expiry: int
) -> None:
    days: dict[str, int] = {}
    first: int | None = None
    last = 0
    expected = set()
    for event in _in_order(events):
        day = event.recorded_ms // DAY
        if first is None or day - last > expiry:
            first, days = day, {}
        is_new = event.value not in days or day - days[event.value] > expiry
        if is_new and day - first >= learning:
            expected.add(_id(day, f" country={event.value}"))
        days[event.value], last = day, day
    plan = behaviour("first_seen", learning=learning * DAY, expiry=expiry * DAY)
    assert deliver(Keeper(ruleset(plan), WIDE), "rule", events, seed) == expected


@settings(max_examples=200, deadline=None)
@given(histories(st.none(), unit_ms=DAY // 2, span=600), SEEDS, st.integers(1, 60))
def test_dormant_is_that_of_the_whole_history(events: list[Event], seed: int, asleep: int) -> None:
    days = sorted({event.recorded_ms // DAY for event in events})
    expected = {_id(day) for before, day in pairwise(days) if asleep < day - before <= 200}
    plan = behaviour("dormant", asleep=asleep * DAY, forget=200 * DAY)
    assert deliver(Keeper(ruleset(plan), WIDE), "rule", events, seed) == expected


@settings(max_examples=200, deadline=None)
@given(
    histories(
        st.sampled_from(["DE", "FR", "US", "JP", "ZZ"]), unit_ms=5 * MINUTE, span=500, size=25
    ),
    SEEDS,
    st.sampled_from([500.0, 1_000.0, 3_000.0]),
)
def test_travel_is_that_of_all_pairs_of_the_whole_history(
    events: list[Event], seed: int, speed: float
) -> None:
    step = 10 * MINUTE
    ends = {
        max(one.occurred_ms, other.occurred_ms) // step * step
        for one in events
        for other in events
        if (distance := distance_km(one.value, other.value)) >= 500
        and (abs(one.occurred_ms // step - other.occurred_ms // step) + 1) * step
        < distance / speed * HOUR
    }
    plan = behaviour("impossible_travel", speed_km_per_h=speed)
    expected = {_id(end // DAY) for end in ends}
    assert deliver(Keeper(ruleset(plan), WIDE), "rule", events, seed) == expected


def _bar(past: list[int], factor: float, least: int) -> float:
    usual = float(median(past))
    deviation = float(median([abs(count - usual) for count in past]))
    return max(float(least), usual + factor * max(1.4826 * deviation, sqrt(usual), 1.0))


@settings(max_examples=200, deadline=None)
@given(
    histories(st.none(), unit_ms=6 * HOUR, span=240, size=60),
    SEEDS,
    st.integers(1, 3),
    st.sampled_from([1.0, 2.0]),
)
def test_rate_is_that_of_the_whole_history(
    events: list[Event], seed: int, least: int, factor: float
) -> None:
    # all in one hour of the day, so that hours of the week meet again
    events = [e._replace(occurred_ms=e.recorded_ms - e.recorded_ms % DAY) for e in events]
    counts: dict[int, int] = {}
    for event in events:
        counts[event.occurred_ms // HOUR] = counts.get(event.occurred_ms // HOUR, 0) + 1
    clipped: dict[int, int] = {}
    expected = set()
    first = last = None
    for hour in sorted(counts):
        if first is None or last is None or hour - last > 4 * WEEK:
            first = hour
        last = hour
        bar = None
        if hour - first >= 2 * WEEK:
            back = [hour - week * WEEK for week in (1, 2, 3)]
            bar = _bar([clipped.get(h, 0) for h in back if h >= first], factor, least)
        if bar is not None and counts[hour] >= bar:
            expected.add(_id(hour))
        clipped[hour] = counts[hour] if bar is None else min(counts[hour], -int(-bar // 1))
    plan = behaviour("rate", count_min=least, factor=factor, weeks=3, learning=14 * DAY)
    terms = Terms(grace_ms=DAY, future_ms=DAY, slack_ms=HOUR)
    assert deliver(Keeper(ruleset(plan), terms), "rule", events, seed) == expected


@settings(max_examples=200, deadline=None)
@given(histories(st.none(), unit_ms=MINUTE // 2, span=230, size=50), SEEDS, st.integers(1, 30))
def test_silence_is_that_of_the_whole_history(events: list[Event], seed: int, silence: int) -> None:
    minutes = sorted({event.recorded_ms // MINUTE for event in events})
    expected = set()
    longest = 0
    for minute, following in zip(minutes, [*minutes[1:], 10**9], strict=False):
        allowed = max(silence, 2 * longest) if longest else None
        gap = following - minute
        if allowed is not None and gap > allowed:
            expected.add(_id(minute))
            gap = allowed
        longest = max(longest, gap)
    # a history of less than two hours: all its gaps are near in the week
    plan = behaviour(
        "silent_source", group=("user",), silence=silence * MINUTE, factor=2.0, learning=0
    )
    assert deliver(Keeper(ruleset(plan), WIDE), "rule", events, seed) == expected


@settings(max_examples=200, deadline=None)
@given(
    histories(st.tuples(st.integers(0, 40), st.sampled_from("ab")).map(list)),
    SEEDS,
    st.integers(10, 120),
)
def test_risk_is_that_of_the_whole_history(events: list[Event], seed: int, line: int) -> None:
    half_life, repeat, rule_max = 40, 60, 70.0
    counted = [event for event in events if event.counts]
    expected = set()
    for end in {event.occurred_ms for event in counted}:
        window = [e for e in counted if 0 <= end - e.occurred_ms <= 7 * half_life]
        shares = [
            fsum(
                e.value[0] * 2.0 ** ((e.occurred_ms - end) / half_life)
                for e in window
                if e.value[1] == rule
            )
            for rule in "ab"
        ]
        is_end = any(e.occurred_ms == end and e.value[0] > 0 for e in window)
        if is_end and fsum(min(rule_max, share) for share in shares) >= line:
            expected.add(_id(end // repeat))
    plan = behaviour(
        "risk", line=float(line), half_life=half_life, repeat=repeat, rule_max=rule_max
    )
    assert deliver(Keeper(ruleset(plan), TERMS), "rule", events, seed) == expected


@settings(max_examples=100, deadline=None)
@given(histories(st.none()), SEEDS)
def test_alerts_add_to_risk_once_however_often_they_are_sent(
    events: list[Event], seed: int
) -> None:
    counted = sorted(event.occurred_ms for event in events if event.counts)
    starts = {
        end // 100 * 100 for end in counted if sum(0 <= end - at <= 100 for at in counted) >= 2
    }
    plan = behaviour("risk", name="risk", line=15.0, half_life=100, repeat=100, rule_max=100.0)
    keeper = Keeper(ruleset(correlation("event_count", threshold=2.0), plan), TERMS)
    expected = set()
    for end in starts:
        ages = [end - start for start in starts if 0 <= end - start <= 700]
        if fsum(10 * 2.0 ** (-age / 100) for age in ages) >= 15:
            expected.add(alert_id("risk", 1, "user=jane", f"window:{end // 100}"))
    delivery = Delivery(keeper, "rule", Random(seed))
    delivery.run(events)
    assert {a.alert_id for a in delivery.alerts if a.rule_id == "risk"} == expected


@given(st.sampled_from(sorted(PLACES)), st.sampled_from(sorted(PLACES)))
def test_distance_is_symmetric_and_fits_the_earth(one: str, other: str) -> None:
    assert distance_km(one, other) == distance_km(other, one)
    assert 0 <= distance_km(one, other) < 20_016
    assert distance_km(one, one) == 0


def test_end_of_histories_is_after_every_horizon() -> None:
    assert END_MS > 4_000 * DAY
