"""Laws of rules with a memory: any delivery gives the alerts of the whole sorted history."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detections.sigma.ruleset import BoolOp, CorrelationPlan, SlotRef
from detections.stateful.keeper import Keeper
from schemas.alert import alert_id
from tests.property.stateful_history import TERMS, Event, correlation, deliver, histories, ruleset

SPAN = 100
SEEDS = st.integers(0, 2**32)


def _ids(buckets: set[int], label: str = "") -> set[str]:
    return {alert_id("rule", 1, f"user=jane{label}", f"window:{b}") for b in buckets}


def _check(plan: CorrelationPlan, events: list[Event], seed: int, buckets: set[int]) -> None:
    keeper = Keeper(ruleset(plan), TERMS)
    assert keeper.refused == {}
    assert deliver(keeper, "rule", events, seed) == _ids(buckets)
    assert keeper.tally["thinned"] == 0


def _windows(events: list[Event]) -> list[tuple[int, list[Event]]]:
    """Return each end and the events of [end - span, end], both included."""
    counted = [event for event in events if event.counts]
    return [
        (end.occurred_ms, [e for e in counted if 0 <= end.occurred_ms - e.occurred_ms <= SPAN])
        for end in counted
    ]


@settings(max_examples=300, deadline=None)
@given(histories(st.none()), SEEDS, st.integers(1, 6))
def test_event_count_is_that_of_the_whole_history(
    events: list[Event], seed: int, threshold: int
) -> None:
    satisfied = {end // SPAN for end, window in _windows(events) if len(window) >= threshold}
    _check(correlation("event_count", threshold=threshold), events, seed, satisfied)


@settings(max_examples=300, deadline=None)
@given(histories(st.sampled_from(["a", "b", "c", "d", "e", ["a", "b"]])), SEEDS, st.integers(1, 4))
def test_value_count_is_that_of_the_whole_history(
    events: list[Event], seed: int, threshold: int
) -> None:
    satisfied = {
        end // SPAN
        for end, window in _windows(events)
        if len({str(e.value) for e in window}) >= threshold
    }
    _check(correlation("value_count", threshold=threshold), events, seed, satisfied)


@settings(max_examples=200, deadline=None)
@given(histories(st.none(), slots=3), SEEDS)
def test_temporal_is_that_of_the_whole_history(events: list[Event], seed: int) -> None:
    satisfied = {
        end // SPAN for end, window in _windows(events) if len({e.slot for e in window}) == 3
    }
    plan = correlation("temporal", rules=(0, 1, 2), threshold=3.0)
    _check(plan, events, seed, satisfied)


@settings(max_examples=200, deadline=None)
@given(histories(st.none(), slots=3), SEEDS)
def test_temporal_condition_without_not_is_that_of_the_whole_history(
    events: list[Event], seed: int
) -> None:
    tree = BoolOp("and", (SlotRef(0), BoolOp("or", (SlotRef(1), SlotRef(2)))))
    satisfied = {
        end // SPAN
        for end, window in _windows(events)
        if 0 in (slots := {e.slot for e in window}) and slots & {1, 2}
    }
    plan = correlation("temporal", rules=(0, 1, 2), condition=tree)
    _check(plan, events, seed, satisfied)


def _has_chain(window: list[Event], slots: list[int], end: int) -> bool:
    """Look for a chain that ends at `end` by trying every event for the last slot. Naive."""
    return any(
        event.slot == slots[-1]
        and event.occurred_ms == end
        and (
            len(slots) == 1
            or any(
                _has_chain(window, slots[:-1], before.occurred_ms)
                for before in window
                if before.occurred_ms <= end
            )
        )
        for event in window
    )


@settings(max_examples=300, deadline=None)
@given(histories(st.none(), slots=3, size=25), SEEDS)
def test_temporal_ordered_is_that_of_the_whole_history(events: list[Event], seed: int) -> None:
    satisfied = {
        end // SPAN for end, window in _windows(events) if _has_chain(window, [0, 1, 2], end)
    }
    plan = correlation("temporal_ordered", rules=(0, 1, 2), threshold=3.0)
    _check(plan, events, seed, satisfied)


@settings(max_examples=300, deadline=None)
@given(
    histories(st.none(), slots=3, size=25), SEEDS, st.sampled_from(["temporal", "temporal_ordered"])
)
def test_temporal_with_not_is_decided_once_nothing_can_undo_it(
    events: list[Event], seed: int, kind: str
) -> None:
    tree = BoolOp("and", (SlotRef(0), SlotRef(1), BoolOp("not", (SlotRef(2),))))
    counted = [event for event in events if event.counts]
    satisfied = set()
    for end, window in _windows(events):
        around = {e.slot for e in counted if abs(e.occurred_ms - end) <= SPAN}
        at_end = {e.slot for e in window if e.occurred_ms == end}
        if kind == "temporal_ordered":
            holds = _has_chain(window, [0, 1], end)
        else:
            holds = {0, 1} <= {e.slot for e in window} and bool(at_end & {0, 1})
        if holds and 2 not in around:
            satisfied.add(end // SPAN)
    plan = correlation(kind, rules=(0, 1, 2), condition=tree)
    _check(plan, events, seed, satisfied)


@settings(max_examples=300, deadline=None)
@given(
    histories(st.sampled_from([0, 1, 2.5, 0.1, 0.2, -3, 7, "3", "x", None])),
    SEEDS,
    st.sampled_from([0.3, 3, 5.1, 12]),
)
def test_value_sum_is_that_of_the_whole_history(
    events: list[Event], seed: int, threshold: float
) -> None:
    def amount(event: Event) -> Fraction:
        value = event.value if event.value not in ("x", None) else 0
        return max(Fraction(0), Fraction(str(value)))

    rising = [e for e in events if amount(e) > 0]
    satisfied = {
        end // SPAN
        for end, window in _windows(rising)
        if sum(map(amount, window)) >= Fraction(str(threshold))
    }
    _check(correlation("value_sum", threshold=threshold), events, seed, satisfied)


_MEASURES: dict[str, Any] = {
    "event_count": len,
    "value_count": lambda values: len(set(values)),
    "value_sum": sum,
    "value_avg": lambda values: Fraction(sum(values), len(values)),
    "value_median": lambda values: _interpolate(values, 50),
    "value_percentile": lambda values: _interpolate(values, 90),
}


def _interpolate(values: list[int], share: int) -> Fraction:
    ordered = sorted(values)
    rank = Fraction(share, 100) * (len(ordered) - 1)
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (rank - low) * (ordered[high] - ordered[low])


@pytest.mark.parametrize("kind", _MEASURES)
@settings(max_examples=60, deadline=None)
@given(histories(st.integers(0, 5)), SEEDS, st.sampled_from(["lt", "lte", "eq", "neq"]))
def test_what_more_events_can_undo_is_judged_by_whole_windows(
    kind: str, events: list[Event], seed: int, operator: str
) -> None:
    windows: dict[int, list[int]] = {}
    for event in events:
        if event.counts:
            windows.setdefault(event.occurred_ms // SPAN, []).append(event.value)
    tests: dict[str, Any] = {
        "lt": lambda measured: measured < 2,
        "lte": lambda measured: measured <= 2,
        "eq": lambda measured: measured == 2,
        "neq": lambda measured: measured != 2,
    }
    satisfied = {b for b, values in windows.items() if tests[operator](_MEASURES[kind](values))}
    share = 90 if kind == "value_percentile" else None
    plan = correlation(kind, operator=operator, threshold=2.0, percentile=share)
    _check(plan, events, seed, satisfied)


@settings(max_examples=100, deadline=None)
@given(histories(st.none()), SEEDS)
def test_range_is_judged_by_whole_windows(events: list[Event], seed: int) -> None:
    counts: dict[int, int] = {}
    for event in events:
        if event.counts:
            bucket = event.occurred_ms // SPAN
            counts[bucket] = counts.get(bucket, 0) + 1
    satisfied = {bucket for bucket, count in counts.items() if 1 < count <= 3}
    plan = correlation("event_count", operator="gt", threshold=1.0, upper=("lte", 3.0))
    _check(plan, events, seed, satisfied)


@settings(max_examples=150, deadline=None)
@given(histories(st.none()), SEEDS, st.integers(1, 3))
def test_alerts_of_one_correlation_are_the_events_of_another(
    events: list[Event], seed: int, threshold: int
) -> None:
    satisfied = {end // SPAN for end, window in _windows(events) if len(window) >= 2}
    starts = [bucket * SPAN for bucket in satisfied]
    wide = 3 * SPAN
    chained = {
        end // wide
        for end in starts
        if sum(0 <= end - start <= wide for start in starts) >= threshold
    }
    first = correlation("event_count", name="first", threshold=2.0, is_silent=True)
    second = correlation(
        "event_count", rules=("first",), threshold=float(threshold), timespan_ms=wide
    )
    keeper = Keeper(ruleset(first, second), TERMS)
    assert keeper.refused == {}
    assert deliver(keeper, "first", events, seed) == _ids(chained)
