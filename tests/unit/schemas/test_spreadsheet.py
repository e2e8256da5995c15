"""No cell of any CSV is a formula: pages and the command line go by the one rule."""

import csv
import io

import pytest

from cli.terminal import csv_lines
from console.pages.page import Table, to_csv
from schemas.spreadsheet import defused

FORMULAS = ("=1+1", "+1", "-1", "@x", "\tx", "\rx", "\n=1+1", " =1", "  @x", "\u00a0=1", "\uff1d1")
HARMLESS = ("", "a=1", "1-2", "a@b.com", " a", "'=1", "grün", "\u2028")


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_run_is_defused(text: str) -> None:
    assert defused(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


@pytest.mark.parametrize("text", FORMULAS)
def test_headings_are_defused_like_cells(text: str) -> None:
    heading, row = csv.reader(io.StringIO(to_csv(Table([text, "n"], [[text, -1]])), newline=""))
    assert heading == [f"'{text}", "n"]
    assert row == [f"'{text}", "-1"]


@pytest.mark.parametrize("text", ["=1+1", " =1", "-1", "@x"])
def test_command_line_defuses_headings_and_cells_alike(text: str) -> None:
    heading, row = csv_lines([{text: text}], [text])
    assert heading == row == f"'{text}\n"
