"""Laws of the query language: total, round, and never SQL."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.query import QueryError, compile_query, complete, describe, parse, text_of
from console.query.fields import FIELDS, NAMES
from console.query.lexer import TEXT_MAX
from console.query.parse import DEPTH_MAX, TERMS_MAX
from console.query.tree import Node, signed_terms
from console.query.write import (
    and_,
    compare,
    details,
    either,
    one_of,
    starting,
    term,
    text,
)

NOW_US = 1_760_300_000_000_000
PIECES = st.sampled_from(
    [
        *(f"{name}:" for name in NAMES),
        *("details.a:", 'details."a b":', "severity>=", "risk>", "risk:1..", "!=", ">", "<="),
        *(" ", " ", " ", "(", ")", '"', "-", "*", "\\", "..", "AND", "or", "NOT", ":", "="),
        *("jane", "high", "50", "7d", "2025-10-11", "10.0.0.0/8", "::1", "success", "read"),
        *("{p0:String}", "ü", "\0", "'"),
    ]
)
TYPED = st.lists(PIECES | st.text(max_size=4), max_size=25).map("".join)
VALUE = st.text(max_size=30)


def read(typed: str) -> Node | QueryError:
    try:
        return parse(typed)
    except QueryError as error:
        return error


@given(typed=TYPED | st.text(max_size=200))
@settings(max_examples=500)
def test_any_text_is_a_query_or_an_error_that_points_into_it(typed: str) -> None:
    found = read(typed)
    if isinstance(found, QueryError):
        assert found.position >= 0
        assert found.length >= 1
        assert found.position + found.length <= len(typed)
        assert found.said
        assert found.cure
        return
    assert parse(text_of(found)) == found
    assert text_of(parse(text_of(found))) == text_of(found)
    assert describe(found)


@given(typed=TYPED)
@settings(max_examples=300)
def test_sql_of_any_query_asks_for_its_parameters_and_no_others(typed: str) -> None:
    node = read(typed)
    if isinstance(node, QueryError):
        return
    try:
        found = compile_query(node, NOW_US)
    except QueryError:
        return  # a period that ends before it begins
    asked = re.findall(r"\{(\w+):", found.where())
    assert set(asked) == set(found.parameters)
    assert found.where().count("(") == found.where().count(")")


@given(typed=TYPED, at=st.integers(-5, 300))
def test_completion_is_total_and_within_the_text(typed: str, at: int) -> None:
    found = complete(typed, at)
    assert 0 <= found.start <= found.end <= len(typed)


@given(value=VALUE, other=VALUE)
def test_sql_says_nothing_of_the_values(value: str, other: str) -> None:
    texts = [name for name, field in FIELDS.items() if field.kind in ("text", "list", "inside")]

    def sql(given_value: str) -> list[str]:
        shown = given_value or "x"
        return [
            compile_query(parse(query), NOW_US).where()
            for name in texts
            for query in (term(name, shown), starting(name, shown), one_of(name, [shown, "y"]))
            if name != "text"
        ] + [compile_query(parse(term(details("k"), f"x{shown}")), NOW_US).where()]

    assert sql(value) == sql(other)


@given(value=VALUE.filter(bool), key=VALUE.filter(bool))
def test_what_is_written_is_read_as_meant(value: str, key: str) -> None:
    for name in ("user", "resource", "before", "rule"):
        ((found, _),) = signed_terms(parse(term(name, value)))
        assert (found.field, found.parts) == (name, (value,))
    ((found, is_positive),) = signed_terms(parse(term(details(key), value, negate=True)))
    assert (found.path, found.parts, is_positive) == ((key,), (value,), False)
    ((found, _),) = signed_terms(parse(starting("user", value)))
    assert found.parts == (value, "")
    ((found, _),) = signed_terms(parse(text(value)))
    assert (found.field, found.parts) == ("text", (value,))
    both = signed_terms(parse(and_(term("user", value), either(text(value), text("x")))))
    assert [one.parts for one, _ in both] == [(value,), (value,), ("x",)]
    assert parse(one_of("user", [value, "b"])) == parse(f"{term('user', value)} OR user:b")
    assert parse(compare("risk", ">", 50)) == parse("risk>50")


@given(value=st.text(max_size=20))
def test_an_absent_value_is_asked_for_as_such(value: str) -> None:
    del value
    assert parse(term("user", "")) == parse("-has:user")
    assert parse(term("user", None, negate=True)) == parse("has:user")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        pytest.param("x" * (TEXT_MAX + 1), "over 4096 characters", id="long"),
        pytest.param("(" * (DEPTH_MAX + 1) + "a", "over 16 brackets", id="deep"),
        pytest.param("user:" + "(" * (DEPTH_MAX + 1) + "a", "over 16 brackets", id="deep values"),
        pytest.param("a " * (TERMS_MAX + 1), "over 64 conditions", id="many"),
        pytest.param("user:" + "*a" * 9, r"over 8 \*", id="stars"),
        pytest.param('details."' + 'a"."' * 8 + 'b":x', "not a path of 1 to 8", id="keys"),
    ],
)
def test_bounds_are_told(typed: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        parse(typed)


def test_thousands_of_negations_are_no_recursion() -> None:
    assert parse("-" * 4_000 + "a") == parse("a")
    assert parse("NOT " * 1_001 + "a") == parse("-a")
