"""How wide bars are, which span they cover, and that the counts of steps end up in them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.query.conditions import Query, unbounded
from console.search import histogram
from console.search.histogram import BARS_MAX, STEPS_MAX, WIDTHS_S, Period, Span
from console.search.moment import parse_moment
from console.web.problems import Refused

HOUR_S = 3_600
DAY_S = 86_400
NOW_S = 1_760_000_000 // DAY_S * DAY_S


class Answers:
    """A reader over moments in seconds, one event each; counts as the store does."""

    def __init__(self, *moments: int, is_slow: bool = False) -> None:
        self.moments = moments
        self.is_slow = is_slow
        self.asked: list[Query] = []

    async def rows(self, query: Query, settings: Mapping[str, Any] | None = None) -> Any:
        self.asked.append(query)
        if "LIMIT 1" in query.sql:
            if not self.moments:
                return []
            edge = max if "DESC" in query.sql else min
            return [{"us": edge(self.moments) * 1_000_000}]
        if self.is_slow and settings:
            raise Refused("query_too_broad", "slow")
        return self._counted(query.parameters)

    def _counted(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        step, shift = asked["step"], asked["shift"]
        since, until = (_seconds(asked[name]) for name in ("h_since", "h_until"))
        found: dict[int, int] = {}
        for moment in self.moments:
            if since <= moment < until:
                place = (moment + shift) // step
                found[place] = found.get(place, 0) + 1
        return [{"place": place, "part": "success", "rows": n} for place, n in found.items()]


def _seconds(text: str) -> int:
    return parse_moment(text.replace(" ", "T") + "Z", 0, "x") // 1_000_000


async def made(reader: Any, period: Period | None = None) -> histogram.Histogram:
    return await histogram.histogram(reader, unbounded(), period or Period(), "result")


@given(length_s=st.integers(1, 400 * 365 * DAY_S))
def test_a_width_needs_no_more_bars_than_fit_and_few_less(length_s: int) -> None:
    width_s = histogram.width_of(length_s)

    assert -(-length_s // width_s) <= BARS_MAX
    assert width_s in WIDTHS_S
    assert width_s == 1 or length_s // width_s >= BARS_MAX // 8


@given(length_s=st.integers(1, 400 * 365 * DAY_S))
def test_bars_are_whole_steps(length_s: int) -> None:
    step_s = histogram.step_of(length_s)

    assert -(-length_s // step_s) <= STEPS_MAX
    assert histogram.width_of(length_s, step_s) % step_s == 0


@pytest.mark.parametrize(
    ("length_s", "width_s"),
    [
        pytest.param(60, 1, id="a minute"),
        pytest.param(HOUR_S, 30, id="an hour"),
        pytest.param(DAY_S, 900, id="a day"),
        pytest.param(7 * DAY_S, 7_200, id="a week"),
        pytest.param(30 * DAY_S, 21_600, id="thirty days"),
        pytest.param(365 * DAY_S, 604_800, id="a year"),
    ],
)
def test_widths_are_those_that_people_would_choose(length_s: int, width_s: int) -> None:
    assert histogram.width_of(length_s) == width_s


async def test_an_empty_store_has_no_bars() -> None:
    found = await made(Answers())

    assert (found.rows, found.span, list(found.bars)) == (0, None, [])


async def test_the_bounds_are_those_of_the_data() -> None:
    found = await made(Answers(*range(NOW_S, NOW_S + DAY_S, 60)))

    assert found.span == Span(NOW_S, NOW_S + DAY_S)
    assert (found.width_s, len(found.bars), found.rows) == (900, 96, 1_440)


async def test_a_period_that_was_asked_for_is_shown_whole() -> None:
    period = Period((NOW_S - DAY_S) * 1_000_000, (NOW_S + DAY_S) * 1_000_000)
    found = await made(Answers(*range(NOW_S, NOW_S + HOUR_S, 60)), period)

    assert found.span == Span(NOW_S - DAY_S, NOW_S + DAY_S)
    assert found.rows == 60


async def test_few_events_far_away_are_counted_and_not_drawn() -> None:
    near = range(NOW_S, NOW_S + HOUR_S)
    found = await made(Answers(-2_000_000_000, *near, 10_000_000_000))

    assert (found.before, found.after) == (1, 1)
    assert found.span is not None
    assert found.span.first_s >= NOW_S - 60
    assert found.span.end_s <= NOW_S + HOUR_S + 60
    assert found.rows == HOUR_S + 2


async def test_events_far_away_are_drawn_where_the_period_asks_for_them() -> None:
    near = range(NOW_S, NOW_S + HOUR_S)
    found = await made(Answers(NOW_S - 300 * DAY_S, *near), Period((NOW_S - 300 * DAY_S) * 10**6))

    assert found.before == 0
    assert found.bars[0].start_s <= NOW_S - 300 * DAY_S


async def test_what_takes_too_long_is_estimated_from_some_blocks() -> None:
    reader = Answers(*range(NOW_S, NOW_S + HOUR_S), is_slow=True)
    found = await made(reader)

    assert found.sampled == histogram.SAMPLE
    assert found.rows == HOUR_S * histogram.SAMPLE  # this reader has no blocks to leave out
    assert "_part_offset" in reader.asked[-1].sql


@given(moments=st.lists(st.integers(-2_208_988_800, 10_413_791_998), min_size=1, max_size=30))
async def test_no_event_is_lost_whenever_it_claims_to_be(moments: list[int]) -> None:
    found = await made(Answers(*moments))

    assert found.rows == len(moments)
    assert [bar.start_s for bar in found.bars] == sorted({bar.start_s for bar in found.bars})
    assert len(found.bars) <= BARS_MAX + 1
