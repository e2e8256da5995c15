"""Whether a statement may run: a single SELECT, on the views, of known functions. Pure.

What is judged is the engine's own tree of the very text that is run, so that no trick of writing
reads differently here and there. See docs/sql.md.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from console.sql.allowed import (
    NEEDLE_MAX,
    NODES,
    TABLE_FUNCTIONS,
    is_by_name,
    is_function,
    is_in,
    needle_of,
)
from console.sql.tree import Branch, parse
from console.web.problems import Refused

STATEMENT_MAX: Final = 16_000  # characters
_SIMPLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SHOWN: Final = 40
_NO_TABLE: Final = "system.one"  # what the engine reads where a SELECT names no table
# How the tree of `SELECT * FROM (statement)` begins, down to the statement itself.
_WRAPPED: Final = (
    "SelectWithUnionQuery",
    "ExpressionList",
    "SelectQuery",
    "TablesInSelectQuery",
    "TablesInSelectQueryElement",
    "TableExpression",
    "Subquery",
    "SelectWithUnionQuery",
)
# Nodes that have a name of their own, and what they are in words.
_WORDS: Final = {
    "Set": "SETTINGS",
    "QueryParameter": "a parameter in braces",
    "ColumnsRegexpMatcher": "COLUMNS",
    "ColumnsApplyTransformer": "APPLY",
    "ColumnsReplaceTransformer": "REPLACE",
    "InterpolateElement": "INTERPOLATE",
    "SampleRatio": "SAMPLE",
}


def refused(said: str, cure: str) -> Refused:
    """Return the refusal of a statement."""
    return Refused("sql_refused", said, field="sql", cure=cure)


def judge(lines: Sequence[str]) -> None:
    """Judge what EXPLAIN AST says of `SELECT * FROM (statement)`. Raises `Refused`."""
    root = parse(lines)
    statement = None if root is None else _statement(root)
    if statement is None:
        raise refused("the statement can't be read as one SELECT", "write a single SELECT")
    for node in statement.walk():
        _judge_node(node)


def judge_tables(lines: Sequence[str], views: frozenset[str]) -> None:
    """Judge what EXPLAIN QUERY TREE found the tables to be. Raises `Refused`.

    The second look, after names are resolved: only our views are read, whatever they are called
    in the statement.
    """
    for line in lines:
        if re.match(r"\s*TABLE_FUNCTION ", line) and "table_function_name: numbers" not in line:
            raise refused("a table function is called", "read one of the views")
        named = re.match(r"\s*TABLE id: .*table_name: (\S+)", line)
        if named and named[1].replace("`", "").rstrip(",") not in views | {_NO_TABLE}:
            raise refused("a table is read that is no view", "read one of the views")


def _statement(root: Branch) -> Branch | None:
    """Return the tree of the statement inside of what it was wrapped in; None if it broke out."""
    node = root
    for depth, kind in enumerate(_WRAPPED[1:]):
        fitting = [child for child in node.children if child.kind == kind]
        if node.kind != _WRAPPED[depth] or len(fitting) != 1:
            return None
        node = fitting[0]
    return node


def _judge_node(node: Branch) -> None:
    if node.kind not in NODES:
        said = _WORDS.get(node.kind.split(":")[0], node.kind)
        raise refused(f"{said} is not for this page", "leave it out")
    if node.kind == "TableIdentifier" and not _SIMPLE.fullmatch(node.name):
        raise refused(
            f"the table {_shown(node.name)} is not one of the views",
            "name a view alone, without a database before it",
        )
    if node.kind == "TableExpression":
        _judge_table(node)
    elif node.kind == "Function":
        _judge_function(node)


def _judge_table(node: Branch) -> None:
    for child in node.children:
        if child.kind == "Function" and child.name.lower() not in TABLE_FUNCTIONS:
            raise refused(
                f"the table function {_shown(child.name)} is not for this page",
                "read one of the views",
            )


def _judge_function(node: Branch) -> None:
    name = node.name
    if name.lower() in TABLE_FUNCTIONS:
        return  # as a function of its own it doesn't exist
    if not is_function(name):
        raise refused(
            f"the function {_shown(name)} is not for this page",
            "see docs/sql.md for those there are",
        )
    arguments = list(_arguments(node))
    if is_in(name) and any(one.kind == "Identifier" for one in arguments[1:]):
        raise refused(
            "what stands after IN is a name", "write IN (SELECT …), a list, or has(array, value)"
        )
    place = needle_of(name)
    if place is not None and not _is_short(arguments[place : place + 1]):
        raise refused(
            f"what {_shown(name)} looks for is no text of at most {NEEDLE_MAX:,} characters",
            "write it into the statement, in quotes: position(user, 'joe')",
        )
    if is_by_name(name) and not _names_function(arguments):
        raise refused(
            "arrayReduce needs the name of a known function", "write arrayReduce('sum', x)"
        )


def _arguments(node: Branch) -> Iterator[Branch]:
    if node.children and node.children[0].kind == "ExpressionList":
        yield from node.children[0].children


def _is_short(arguments: Sequence[Branch]) -> bool:
    """Say whether the one argument is written out, and short."""
    return all(one.kind == "Literal" and len(one.name) <= NEEDLE_MAX for one in arguments)


def _names_function(arguments: Sequence[Branch]) -> bool:
    if not arguments or arguments[0].kind != "Literal":
        return False
    quoted = re.fullmatch(r"'([A-Za-z0-9]+)(?:\([0-9., ]*\))?'", arguments[0].name)
    return quoted is not None and is_function(quoted[1])


def _shown(name: str) -> str:
    """Return a name as a message may repeat it."""
    return ascii(name[:_SHOWN])
