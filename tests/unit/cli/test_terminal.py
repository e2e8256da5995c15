"""cli/terminal.py: nothing untrusted moves a cursor, reorders a line or runs in a spreadsheet."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.read import EVENT_TABLE
from cli.terminal import GAP, cell, csv_lines, fit, json_text, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("jane.doe@company.com", "jane.doe@company.com", id="plain"),
        pytest.param("\x1b[31mred", "\\x1b[31mred", id="ANSI"),
        pytest.param("a\u202eb", "a\\u202eb", id="bidi override"),
        pytest.param("a\nb\tc\x00", "a\\nb\\tc\\x00", id="control"),
        pytest.param("Zürich 電話", "Zürich 電話", id="letters of the world"),
    ],
)
def test_untrusted_text_is_shown_not_obeyed(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_text_is_printable_and_stays_as_it_is(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)


@given(st.dictionaries(st.text(), st.text()))
def test_json_on_a_terminal_is_printable_and_means_the_same(value: dict[str, str]) -> None:
    assert json_text(value).isprintable()
    assert json.loads(json_text(value)) == value


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_formula_is_defused(formula: str) -> None:
    row = list(csv_lines([{"user": formula}], ["user"]))[1]
    assert not row.lstrip('"').startswith(("=", "+", "-", "@", "\t", "\r"))


def test_csv_quotes_what_would_break_a_line() -> None:
    lines = list(csv_lines([{"a": 'x,"y"', "b": {"k": 1}, "c": None}], ["a", "b", "c"]))
    assert lines == ["a,b,c\n", '"x,""y""","{""k"":1}",\n']


def test_cell_of_nothing_is_empty() -> None:
    assert cell(None) == ""


NATURAL = {
    "timestamp": 19,
    "user": 24,
    "action": 28,
    "result": 7,
    "resource": 16,
    "ip_address": 15,
    "risk_score": 4,
    "at": 8,
}
NEEDED = {"timestamp", "user", "action", "result", "at"}


@given(st.integers(min_value=80, max_value=300))
def test_table_fits_the_terminal_with_what_is_needed_whole(room: int) -> None:
    widths = fit(NATURAL, EVENT_TABLE, room)
    assert set(widths) >= NEEDED
    assert sum(widths.values()) + GAP * (len(widths) - 1) <= room
    assert all(widths[key] == NATURAL[key] for key in ("timestamp", "result", "at"))


def test_columns_go_whole_and_in_their_order() -> None:
    dropped = [set(NATURAL) - set(fit(NATURAL, EVENT_TABLE, room)) for room in range(160, 79, -1)]
    assert [gone for i, gone in enumerate(dropped) if i == 0 or gone != dropped[i - 1]] == [
        set(),
        {"resource"},
        {"resource", "risk_score"},
        {"resource", "risk_score", "ip_address"},
    ]
