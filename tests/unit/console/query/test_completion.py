"""What is proposed while somebody types, and where it goes."""

import pytest

from console.query import complete
from console.query.completion import COMPLETED_MAX, store_candidates


def texts(typed: str, at: int | None = None) -> list[str]:
    found = complete(typed, len(typed) if at is None else at)
    return [candidate.text for candidate in found.candidates]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        pytest.param("", "user:", id="nothing yet"),
        pytest.param("us", "user:", id="a name begun"),
        pytest.param("-us", "user:", id="after a minus"),
        pytest.param("(us", "user:", id="in brackets"),
        pytest.param("user:jane us", "user:", id="the next one"),
        pytest.param("usr", "user:", id="misspelt"),
        pytest.param("session_i", "session:", id="alias"),
        pytest.param("details.rec", "details.record_count:", id="a key of the details"),
        pytest.param("result:", "success", id="a value"),
        pytest.param("result:(success OR f", "failure", id="another value"),
        pytest.param("severity>=", "info", id="compared"),
        pytest.param("action:auth", "authentication.login.denied", id="an action"),
        pytest.param("action:LOGIN", "authentication.login.success", id="part of an action"),
        pytest.param("is:pro", "protected", id="is"),
        pytest.param("has:res", "resource", id="has"),
        pytest.param("since:", "15m", id="a period"),
        pytest.param("flag:off", "off_hours", id="a flag"),
    ],
)
def test_best_candidate_comes_first(typed: str, first: str) -> None:
    found = texts(typed)
    assert first in found[:5]
    assert len(found) <= COMPLETED_MAX


@pytest.mark.parametrize(
    ("typed", "at", "start", "end"),
    [
        pytest.param("us", 2, 0, 2, id="the whole word"),
        pytest.param("user:jane", 2, 0, 4, id="a name before its value"),
        pytest.param("user:ja x", 7, 5, 7, id="a value"),
        pytest.param('user:"jane d" x', 9, 5, 13, id="a value in quotes"),
        pytest.param('user:"ja', 8, 5, 8, id="quotes not closed yet"),
        pytest.param("a  b", 2, 2, 2, id="between"),
        pytest.param("abc", 99, 0, 3, id="beyond the end"),
        pytest.param("abc", -1, 0, 3, id="before the beginning"),
    ],
)
def test_candidate_takes_the_place_of_what_is_typed(
    typed: str, at: int, start: int, end: int
) -> None:
    found = complete(typed, at)
    assert (found.start, found.end) == (start, end)


@pytest.mark.parametrize(
    ("typed", "wanted", "prefix"),
    [
        ("user:ja", "user", "ja"),
        ('user:"jane d', "user", "jane d"),
        ("role:(admin OR vi", "role", "vi"),
        ("ip:203", "ip", "203"),
        ("session:s", "session", "s"),
        ("result:s", "", "s"),
        ("event:s", "", "s"),
        ("user:ja*", "", ""),
        ("okta", "", ""),
        ('"jane', "", ""),
        ('a"b', "", ""),
    ],
)
def test_store_is_asked_only_where_it_knows_more(typed: str, wanted: str, prefix: str) -> None:
    found = complete(typed, len(typed))
    assert (found.wanted, found.prefix) == (wanted, prefix)


def test_values_of_the_store_come_first_and_are_quoted_where_they_must_be() -> None:
    found = store_candidates(complete("user:j", 6), [("jane", 7), ("o'hara x", 1_000), ("", 5)])
    assert [(one.text, one.about) for one in found.candidates] == [
        ("jane", "7 events"),
        ('"o\'hara x"', "1,000 events"),
    ]
