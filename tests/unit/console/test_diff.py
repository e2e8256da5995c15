"""Changes as lines: what went, what came, and nothing that a hostile value could do."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.entities.diff import ABSENT, LINES_MAX, TEXT_MAX, changes, changes_of, read, words


def sides(before: object, after: object) -> list[tuple[str, str | None, str | None]]:
    return [(line["path"], line["before"], line["after"]) for line in changes(before, after)]


def test_the_seeds_example_is_one_line() -> None:
    (line,) = changes_of([""], ['"90 days"'], ['"180 days"'])
    assert (line["kind"], line["before"], line["after"]) == ("changed", "90 days", "180 days")
    assert line["parts"] == [
        {"kind": "removed", "text": "90"},
        {"kind": "added", "text": "180"},
        {"kind": "same", "text": " days"},
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("b", "2", "3")], id="one key"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, [("a.b", "1", "2")], id="nested"),
        pytest.param({"a": 1}, {"b": 1}, [("a", "1", None), ("b", None, "1")], id="other keys"),
        pytest.param(["x", "y"], ["y", "z"], [("[]", "x", None), ("[]", None, "z")], id="members"),
        pytest.param(["x", "x"], ["x"], [("[]", "x", None)], id="one of two alike"),
        pytest.param([1, 2], [2, 1], [("", "[1, 2]", "[2, 1]")], id="only the order"),
        pytest.param("90", 90, [("", '"90"', "90")], id="a text and a number that look alike"),
        pytest.param(None, "x", [("", "null", "x")], id="null is a value"),
        pytest.param(ABSENT, "x", [("", None, "x")], id="absent is none"),
        pytest.param(True, 1, [("", "true", "1")], id="true is not one"),
        pytest.param({"a": [1]}, {"a": [1]}, [], id="nothing"),
    ],
)
def test_changes_are_told_where_they_are(before: Any, after: Any, expected: Any) -> None:
    assert sides(before, after) == expected


@pytest.mark.parametrize(
    ("path", "action", "said"),
    [
        pytest.param("details", "settings.retention_policy.updated", "retention_policy", id="seed"),
        pytest.param("", "settings.retention_policy.updated", "retention_policy", id="no path"),
        pytest.param("details.days", "settings.x.updated", "details.days", id="its own path"),
        pytest.param("details", "user.updated", "user", id="two parts"),
        pytest.param("details", "updated", "", id="one part"),
        pytest.param("details", "", "", id="none"),
    ],
)
def test_a_setting_is_not_called_details(path: str, action: str, said: str) -> None:
    (line,) = changes_of([path], ['"90 days"'], ['"180 days"'], action)
    assert line["path"] == said


def test_lines_and_texts_are_bounded() -> None:
    lines = changes({str(n): 0 for n in range(999)}, {})
    assert len(lines) == LINES_MAX + 1
    assert lines[-1]["kind"] == "more"
    (long,) = changes("x" * 100_000, "y" * 100_000)
    assert len(long["before"] or "") < TEXT_MAX + 40


def test_numbers_beyond_what_python_reads_stay_texts() -> None:
    assert read("9" * 5000) == "9" * 5000
    assert read("123456789012345678901234567890") == 123456789012345678901234567890
    assert read("[" * 100_000) == "[" * 100_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, JSON)
def test_anything_can_be_compared_and_equals_give_nothing(before: object, after: object) -> None:
    assert changes(before, before) == []
    for line in changes(before, after):
        assert line["kind"] != "changed" or line["before"] != line["after"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_words_give_both_texts_again(before: str, after: str) -> None:
    parts = words(before, after)
    if parts:
        assert before == "".join(p["text"] for p in parts if p["kind"] != "added")
        assert after == "".join(p["text"] for p in parts if p["kind"] != "removed")
