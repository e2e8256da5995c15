"""docs/search.md is the language: the table of fields, the examples, the limits, the values."""

import re
from pathlib import Path

import pytest

from console.query import compile_query, parse, text_of
from console.query.fields import FIELDS, IS, MEMBER
from console.query.lexer import TEXT_MAX
from console.query.parse import DEPTH_MAX, TERMS_MAX
from console.query.patterns import SAID
from console.query.values import KEYS_MAX, STARS_MAX

PAGE = (Path(__file__).parents[4] / "docs" / "search.md").read_text()
NOW_US = 1_760_300_000_000_000
BLOCKS = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [line for block in BLOCKS for line in block.strip().splitlines()]
TABLE = PAGE.partition("## In one minute")[2].partition("More questions")[0]
CELLS = [line.split("|")[2] for line in TABLE.splitlines() if line.count("|") == 3]
SHORT = re.findall(r"`([^`]+)`", "".join(CELLS))


def rows() -> list[list[str]]:
    table = PAGE.partition("| field | also |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]


def test_table_of_the_page_is_the_table_of_the_code() -> None:
    known = [*FIELDS.values(), MEMBER]
    assert [row[0].strip("`") for row in rows()] == [*FIELDS, "details.PATH"]
    for row, field in zip(rows(), known, strict=True):
        assert re.findall(r"`([^`]+)`", row[1]) == list(field.aliases)
        assert row[2] == field.about
        assert row[4] == f"`{field.example}`"


@pytest.mark.parametrize("text", [*EXAMPLES, *SHORT])
def test_example_of_the_page_works(text: str) -> None:
    node = parse(text)
    assert parse(text_of(node)) == node
    assert compile_query(node, NOW_US).clauses


@pytest.mark.parametrize("field", [*FIELDS.values(), MEMBER], ids=lambda field: field.name)
def test_example_of_a_field_works_and_is_of_it(field: object) -> None:
    assert isinstance(field, type(MEMBER))
    node = parse(field.example)
    assert compile_query(node, NOW_US).clauses
    assert field.name.rstrip(".") in text_of(node)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 8
    assert len(SHORT) > 15


def test_limits_and_values_of_the_page_are_those_of_the_code() -> None:
    limits = PAGE.partition("## Limits")[2]
    for bound in (f"{TEXT_MAX:,}", TERMS_MAX, DEPTH_MAX, STARS_MAX, KEYS_MAX):
        assert f"| {bound} |" in limits
    for value in (*IS, *FIELDS["result"].values, *FIELDS["severity"].values):
        assert f"`{value}`" in PAGE
    for value in FIELDS["category"].values:
        assert f"`{value}`" in PAGE
    for column in SAID:
        name = {"session_id": "session", "request_id": "request"}.get(column, column)
        assert f"`{name}`" in PAGE
