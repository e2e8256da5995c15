"""The links of the search page: chips, facets, columns and bars each lead where they say."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.access import Principal
from console.pages import search_view
from console.pages.search_view import DEFAULT_COLUMNS, Here
from console.query.parse import parse
from console.search.facets import Facets, Value
from console.search.histogram import Bar, Histogram, Span
from console.search.question import Asking, Question, as_text, question

ANYBODY = Principal("ann", frozenset({"analyst"}), "acme")


def asked(q: str, **period: str) -> Question:
    return question(ANYBODY, Asking(q=q, **period), 1_760_000_000_000_000)


def query_of(address: str) -> str:
    return parse_qs(urlsplit(address).query).get("q", [""])[0]


def test_each_condition_can_be_taken_away_alone() -> None:
    here = Here(q="user:jane* -result:success (risk>50 OR is:protected)")
    chips = search_view.chips(asked(here.q), here)

    assert [chip.text for chip in chips] == [
        "user:jane*",
        "-result:success",
        "risk>50 OR is:protected",
    ]
    assert parse(query_of(chips[0].without)) == parse("-result:success (risk>50 OR is:protected)")
    assert parse(query_of(chips[2].without)) == parse("user:jane* -result:success")


def test_the_period_of_the_address_is_a_condition_too() -> None:
    here = Here(q="", since="7d", until="1d")
    chips = search_view.chips(asked("", since="7d", until="1d"), here)

    assert [chip.text for chip in chips] == ["from 7d", "before 1d"]
    assert "since" not in chips[0].without
    assert "until=1d" in chips[0].without


def choice(value: str, q: str = "", field: str = "user") -> search_view.Choice:
    found = Facets(1, 1, {field: [Value(value, 1), Value("other", 1)]})
    ((_, listed),) = search_view.choices(found, asked(q), Here(q=q))
    return listed[0]


HOSTILE = ['a"b\\c*', "<script>alert(1)</script>", "or", "x:y z", "-", "'; DROP TABLE events; --"]


@pytest.mark.parametrize("value", ["jane@company.com", *HOSTILE])
def test_a_value_narrows_to_exactly_itself_whatever_it_is(value: str) -> None:
    shown = choice(value, "risk>50")

    added = asked(query_of(shown.link))
    assert value in added.found.parameters.values()
    assert parse(query_of(shown.exclude)) == parse(f"risk>50 -({query_of(choice(value).link)})")


def test_a_value_that_is_asked_for_is_marked_and_leads_back() -> None:
    shown = choice("jane", "user:jane risk>50")

    assert shown.is_on
    assert query_of(shown.link) == "risk>50"


def test_a_value_narrows_both_sides_of_an_or() -> None:
    shown = choice("jane", "risk>50 OR is:protected")

    assert parse(query_of(shown.link)) == parse("(risk>50 OR is:protected) user:jane")


def test_an_absent_value_is_asked_for_as_absent() -> None:
    assert query_of(choice("").link) == "-has:user"
    assert query_of(choice("").exclude) == "has:user"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (None, DEFAULT_COLUMNS),
        ("", DEFAULT_COLUMNS),
        ("nothing,like,that", DEFAULT_COLUMNS),
        ("user, action,user", ("user", "action")),
        ("details.format,severity", ("details.format", "severity")),
    ],
)
def test_columns_are_those_asked_for_that_there_are(
    given: str | None, shown: tuple[str, ...]
) -> None:
    assert search_view.columns_of(given) == shown


def test_each_bar_leads_to_its_time_and_lies_in_the_picture() -> None:
    bars = [Bar(1_000_000 + n * 60, {"success": n + 1, "failure": 1}) for n in range(10)]
    found = Histogram(Span(1_000_000, 1_000_600), 60, bars)
    chart = search_view.chart(found, Here(q="risk>50"))

    assert chart is not None
    assert len(chart.bars) == 10
    first = chart.bars[0]
    assert "since=1970-01-12T13%3A46%3A40Z&until=1970-01-12T13%3A47%3A40Z" in first.link
    assert query_of(first.link) == "risk>50"
    assert "2 events (1 failure, 1 success)" in first.label
    for bar in chart.bars:
        assert 0 <= bar.x <= bar.x + bar.width <= search_view.CHART_WIDTH
        assert sum(part.height for part in bar.parts) <= search_view.CHART_HEIGHT + 0.1
        assert min(part.y for part in bar.parts) >= 0


DAY_S = 86_400
MIDNIGHT_S = 1_795_046_400  # 2026-11-19


@pytest.mark.parametrize(
    ("first_s", "length_s", "texts"),
    [
        pytest.param(
            MIDNIGHT_S - DAY_S // 3,
            4 * DAY_S + DAY_S // 3,
            ["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"],
            id="days",
        ),
        pytest.param(MIDNIGHT_S - 3_600, 7_200, ["11-18 23:00", "11-18 23:30"], id="hours"),
        pytest.param(MIDNIGHT_S - 2, 4, ["11-18 23:59:58", "11-18 23:59:59"], id="seconds"),
    ],
)
def test_a_date_under_the_chart_stands_at_its_midnight(
    first_s: int, length_s: int, texts: list[str]
) -> None:
    bars = [Bar(first_s, {"success": 1})]
    chart = search_view.chart(Histogram(Span(first_s, first_s + length_s), 1, bars), Here())

    assert chart is not None
    assert [tick.text for tick in chart.ticks][: len(texts)] == texts
    if len(texts) > 2:
        place = (MIDNIGHT_S - first_s) / length_s * 100
        assert chart.ticks[0].x == pytest.approx(place, abs=0.01)
        steps = {round(b.x - a.x, 1) for a, b in zip(chart.ticks, chart.ticks[1:], strict=False)}
        assert len(steps) == 1


@given(first_s=st.integers(-2_208_988_800, 10**10), length_s=st.integers(1, 10**10))
def test_labels_under_the_chart_are_few_and_inside(first_s: int, length_s: int) -> None:
    length_s = min(length_s, 10_413_791_998 - first_s)
    found = Histogram(Span(first_s, first_s + length_s), 1, [Bar(first_s, {"success": 1})])
    chart = search_view.chart(found, Here())

    assert chart is not None
    assert len(chart.ticks) <= search_view.TICKS + 1
    assert all(0 <= tick.x <= 100 for tick in chart.ticks)


def test_nothing_is_drawn_of_nothing() -> None:
    assert search_view.chart(Histogram(), Here()) is None


@pytest.mark.parametrize(
    ("q", "since", "text"),
    [
        ("", None, ""),
        ("risk>50", None, "risk>50"),
        ("a OR b", "7d", "(a OR b) since:7d"),
        ("", "2025-10-11T00:00:00Z", "since:2025-10-11T00:00:00Z"),
    ],
)
def test_what_is_handed_on_says_the_period_too(q: str, since: str | None, text: str) -> None:
    asking = Asking(q=q, since=since)

    assert as_text(asking) == text
    parse(as_text(asking))
