"""What waits for the watermark, by worked examples: nothing is decided too early, nor twice."""

from typing import Any

import pytest

from detections.sigma.ruleset import BoolOp, SlotRef
from detections.stateful.keeper import Keeper
from detections.stateful.memory import Terms
from schemas.signal import Signal, bound_text, key_of, parse_key
from schemas.topics import STATE_MESSAGE_BYTES_MAX
from tests.property.stateful_history import behaviour, correlation, ruleset

MINUTE = 60_000
HOUR = 3_600_000
DAY = 86_400_000
T = 1_700_000_000_000 - 1_700_000_000_000 % DAY  # a midnight
TERMS = Terms()


def _signal(*entries: tuple[int, int, Any], partition: int = 0, lag_ms: int = 0) -> Signal:
    made = [
        (offset, at, at + lag_ms, 0, value, (f"e{partition}-{offset}", "", "", "", "", ""))
        for offset, at, value in entries
    ]
    return Signal("rule", 1, "default", ("jane",), "abc", partition, made)


def test_absence_waits_for_late_events_within_the_grace() -> None:
    tree = BoolOp("and", (SlotRef(0), BoolOp("not", (SlotRef(1),))))
    keeper = Keeper(
        ruleset(correlation("temporal", rules=(0, 1), condition=tree, timespan_ms=HOUR))
    )
    first = keeper.apply(_signal((0, T, None)), None)
    due_ms = T + HOUR + TERMS.grace_ms
    second = keeper.apply(_signal((1, T + 5 * HOUR, None)), first.state, due_ms - 1)
    assert second.alerts == ()
    third = keeper.apply(_signal((2, T + 5 * HOUR + 1, None)), second.state, due_ms)
    assert len(third.alerts) == 1


def test_first_sight_is_told_whichever_partition_is_read_first() -> None:
    keeper = Keeper(ruleset(behaviour("first_seen", learning=0)))
    later = keeper.apply(_signal((7, T + 10, "DE"), partition=1), None)
    both = keeper.apply(_signal((3, T + 5, "DE")), later.state)
    assert both.due_ms == T + 6
    assert both.state is not None
    key = parse_key(key_of(_signal((0, T, None))))
    assert keeper.close(key, both.state, T + 5).alerts == ()
    (alert,) = keeper.close(key, both.state, T + 6).alerts
    assert alert.event_ids == ("e0-3",)


@pytest.mark.parametrize(("days", "count"), [(60, 0), (61, 1), (730, 1), (731, 0)])
def test_account_wakes_after_more_than_the_days_asleep(days: int, count: int) -> None:
    keeper = Keeper(ruleset(behaviour("dormant")))
    signal = _signal((0, T + DAY - 1, None), (1, T + days * DAY, None))
    assert len(keeper.apply(signal, None, T + 999 * DAY).alerts) == count


def test_sight_that_is_sure_still_makes_a_later_one_impossible() -> None:
    keeper = Keeper(ruleset(behaviour("impossible_travel")))
    first = keeper.apply(_signal((0, T, "DE"), (1, T + HOUR, "DE")), None, T + HOUR)
    second = keeper.apply(_signal((2, T + 3 * HOUR, "DE")), first.state, T + 3 * HOUR)
    third = keeper.apply(_signal((3, T + 4 * HOUR, "AU")), second.state, T + 4 * HOUR)
    assert len(third.alerts) == 1
    assert keeper.apply(_signal((3, T + 20 * HOUR, "AU")), second.state, T + 20 * HOUR).alerts == ()


def _weeks(keeper: Keeper, *counts: int) -> bytes:
    """Let weeks go by with so many events in one hour of each; return the state after them."""
    state = None
    for week, count in enumerate(counts):
        at = T + week * 7 * DAY
        entries = [(week * 1_000 + i, at + i, None) for i in range(count)]
        state = keeper.apply(_signal(*entries), state, at).state
    assert state is not None
    return state


def _burst(week: int, count: int) -> Signal:
    return _signal(*[(week * 1_000 + i, T + week * 7 * DAY + i, None) for i in range(count)])


def test_attack_enters_the_baseline_clipped() -> None:
    keeper = Keeper(ruleset(behaviour("rate", count_min=5, weeks=1)))
    state = _weeks(keeper, 4, 4, 4, 60)  # the bar of the fourth week is 4 + 6 * 2
    assert len(keeper.apply(_burst(4, 40), state, T + 28 * DAY).alerts) == 1  # 16 + 6 * 4
    assert keeper.apply(_burst(4, 39), state, T + 28 * DAY).alerts == ()


def test_rate_waits_while_the_watermark_is_days_behind() -> None:
    keeper = Keeper(ruleset(behaviour("rate", count_min=5)))
    state = _weeks(keeper, 4, 4, 4)
    waiting = keeper.apply(_burst(3, 60), state, T + 14 * DAY)
    assert waiting.alerts == ()
    assert waiting.due_ms == T + 14 * DAY + HOUR + TERMS.grace_ms
    assert waiting.state is not None
    key = parse_key(key_of(_burst(3, 1)))
    assert keeper.close(key, waiting.state, waiting.due_ms - 1).alerts == ()
    assert len(keeper.close(key, waiting.state, waiting.due_ms).alerts) == 1


@pytest.mark.parametrize("char", ["x", "\U0001f600", "\x01"])
@pytest.mark.parametrize("step_ms", [0, 1])
def test_state_of_long_texts_stays_within_what_the_journal_takes(char: str, step_ms: int) -> None:
    keeper = Keeper(ruleset(behaviour("first_seen", learning=0)))
    who = ("e", *[bound_text(char * 256)] * 5)
    state: bytes | None = None
    for start in range(0, 2_000, 500):
        entries = [
            (n, T, T + n, 0, bound_text(f"{n}{char * 250}"), who) for n in range(start, start + 500)
        ]
        signal = Signal("rule", 1, "default", ("jane",), "abc", 0, entries)
        applied = keeper.apply(signal, state, T + start * step_ms + 1)
        state = applied.state
        assert state is not None
        assert len(state) < STATE_MESSAGE_BYTES_MAX // 2
    assert keeper.tally["thinned"] > 0
