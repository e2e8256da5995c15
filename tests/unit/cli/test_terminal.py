"""cli/terminal.py: nothing untrusted moves a cursor, reorders a line or runs in a spreadsheet."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.terminal import cell, csv_lines, defuse, json_text, visible


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
    assert defuse(formula) == "'" + formula
    row = list(csv_lines([{"user": formula}], ["user"]))[1]
    assert not row.lstrip('"').startswith(("=", "+", "-", "@", "\t", "\r"))


def test_csv_quotes_what_would_break_a_line() -> None:
    lines = list(csv_lines([{"a": 'x,"y"', "b": {"k": 1}, "c": None}], ["a", "b", "c"]))
    assert lines == ["a,b,c\n", '"x,""y""","{""k"":1}",\n']


def test_cell_of_nothing_is_empty() -> None:
    assert cell(None) == ""
