from typing import Any

import pytest

from pipeline.changes import CHANGES_MAX, NODES_MAX, TOO_LONG, VALUE_BYTES_MAX, find_changes


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ({"before": "90 days", "after": "180 days"}, [("details", '"90 days"', '"180 days"')]),
        ({"before": None}, [("details", "null", "")]),
        ({"after": {"a": [1]}}, [("details", "", '{"a":[1]}')]),
        ({"x": {"y": {"before": 1, "after": 2}}}, [("details.x.y", "1", "2")]),
        (
            {"l": [{"before": 1, "after": 2}, 7, {"before": 3}]},
            [("details.l.0", "1", "2"), ("details.l.2", "3", "")],
        ),
        (
            {"before": 1, "x": {"after": 2}},
            [("details", "1", ""), ("details.x", "", "2")],
        ),
        ({"before": {"before": 1}}, [("details", '{"before":1}', "")]),
        ({"x": 1, "l": [1, 2], "o": {}}, []),
        ({"x": 1}, []),
        ({}, []),
    ],
)
def test_changes_are_found_wherever_they_stand(
    details: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    found = find_changes(details)
    assert list(zip(found.changed, found.before, found.after, strict=True)) == expected
    assert not found.is_cut


def test_changes_are_bounded_and_say_so() -> None:
    many = {"l": [{"before": number} for number in range(CHANGES_MAX + 1)]}
    found = find_changes(many)
    assert len(found.changed) == CHANGES_MAX
    assert found.is_cut
    assert not find_changes({"l": many["l"][:-1]}).is_cut


def test_the_search_is_bounded_and_says_so() -> None:
    found = find_changes({"l": [[]] * NODES_MAX + [{"before": 1}]})
    assert found.is_cut
    assert found.changed == []


def test_a_value_that_is_too_long_is_named_not_cut() -> None:
    fits = "x" * (VALUE_BYTES_MAX - 2)
    assert find_changes({"before": fits}).before == [f'"{fits}"']
    assert find_changes({"before": fits + "x"}).before == [TOO_LONG]
