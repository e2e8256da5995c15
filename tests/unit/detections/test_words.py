import math

import pytest

from detections.words import NODES_MAX, is_off, is_on, number_of, span_s, walk, words_of

DAY = 86_400.0


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        ("90 days", 90 * DAY), ("90d", 90 * DAY), ("1 day", DAY), (" 2 Weeks ", 14 * DAY),
        ("3 months", 90 * DAY), ("1 year", 365 * DAY), ("2y", 730 * DAY), ("12 hours", DAY / 2),
        ("30 min", 1800.0), ("45 s", 45.0), ("1.5 days", 1.5 * DAY), ("90", 90 * DAY),
        (90, 90 * DAY), (0.5, DAY / 2), ("P90D", 90 * DAY),
        ("P1Y2M3W4D", 450 * DAY),
        ("PT1H30M5S", 5405.0), ("p1d", DAY), ("Forever", math.inf), ("never", math.inf),
        ("P", None), ("", None), ("days", None), ("90 bananas", None), (True, None), (None, None),
        ([], None), ("9" * 65, None), ("1 d", DAY), ("-1 days", -DAY),
    ],
)  # fmt: skip
def test_spans_of_time_are_read_in_seconds(value: object, expected_s: float | None) -> None:
    assert span_s(value) == expected_s


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5.0), (1.5, 1.5), ("1,523", 1523.0), ("1_000", 1000.0), ("5 GB", None), (True, None),
     (None, None), ("", None), ({}, None)],
)  # fmt: skip
def test_numbers_are_read_from_texts_too(value: object, expected: float | None) -> None:
    assert number_of(value) == expected


@pytest.mark.parametrize("value", [False, 0, "off", "Disabled", " FALSE ", "no", "0"])
def test_switches_that_are_off(value: object) -> None:
    assert is_off(value)
    assert not is_on(value)


@pytest.mark.parametrize("value", [True, 1, "on", "Enabled", "required"])
def test_switches_that_are_on(value: object) -> None:
    assert is_on(value)
    assert not is_off(value)


@pytest.mark.parametrize("value", [None, 2, 0.0, "", "perhaps", [], {}])
def test_what_is_no_switch(value: object) -> None:
    assert not is_on(value)
    assert not is_off(value)


def test_words_are_split_at_everything_else() -> None:
    assert words_of("Org-Admin_2.root") == {"org", "admin", "2", "root"}


def test_walk_names_objects_by_their_key() -> None:
    details = {"a": {"b": [{"c": 1}, 2, [{"d": 1}]]}, "e": 1}
    assert [key for key, _ in walk(details)] == ["", "a", "b", "b"]
    assert list(walk(None)) == []


def test_walk_is_bounded() -> None:
    assert len(list(walk({"l": [{} for _ in range(10_000)]}))) < NODES_MAX
