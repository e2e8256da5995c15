"""The language, text by text: what it is read as, and what is said of what can't be read."""

import pytest

from console.query import QueryError, compile_query, describe, parse, text_of
from console.query.narrower import too_broad
from console.query.tree import EVERYTHING, All, Either, Not, Term, all_of, either_of

NOW_US = 1_760_300_000_000_000
JANE, JOE = Term("user", ("jane",)), Term("user", ("joe",))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        pytest.param("", EVERYTHING, id="empty"),
        pytest.param(" \t\n", EVERYTHING, id="blank"),
        pytest.param("user:jane", JANE, id="field"),
        pytest.param("USER:jane", JANE, id="name in any case"),
        pytest.param("user=jane", JANE, id="equals"),
        pytest.param("user : jane", JANE, id="spaces around"),
        pytest.param('user:"jane"', JANE, id="quotes"),
        pytest.param("(((user:jane)))", JANE, id="brackets"),
        pytest.param("user:jane user:joe", All((JANE, JOE)), id="space is and"),
        pytest.param("user:jane and user:joe", All((JANE, JOE)), id="and in small letters"),
        pytest.param("user:jane OR user:joe", Either((JANE, JOE)), id="or"),
        pytest.param("user:(jane OR joe)", Either((JANE, JOE)), id="or of values"),
        pytest.param("-user:jane", Not(JANE), id="minus"),
        pytest.param("NOT user:jane", Not(JANE), id="not"),
        pytest.param("user!=jane", Not(JANE), id="unequal"),
        pytest.param("- user:jane", All((Term("text", ("-",)), JANE)), id="minus alone is a word"),
        pytest.param("user:-jane", Term("user", ("-jane",)), id="minus of a value"),
        pytest.param(
            "a b OR c",
            Either((All((Term("text", ("a",)), Term("text", ("b",)))), Term("text", ("c",)))),
            id="and goes first",
        ),
        pytest.param("user:ja*ne", Term("user", ("ja", "ne")), id="star"),
        pytest.param("user:**", Term("user", ("", "")), id="stars that touch"),
        pytest.param('user:"ja*"', Term("user", ("ja*",)), id="star in quotes"),
        pytest.param("user:ja\\*", Term("user", ("ja*",)), id="star after a backslash"),
        pytest.param("user:CORP\\jane", Term("user", ("CORP\\jane",)), id="backslash of a domain"),
        pytest.param('user:"a \\"b\\" \\\\"', Term("user", ('a "b" \\',)), id="quotes in quotes"),
        pytest.param('"free text"', Term("text", ("free text",)), id="phrase"),
        pytest.param("*okta*", Term("text", ("okta",)), id="stars around a word"),
        pytest.param("ip:10.1.*", Term("ip", ("10.1.0.0/16",)), id="stars of an address"),
        pytest.param("ip:::1", Term("ip", ("::1",)), id="v6"),
        pytest.param("risk > 50", Term("risk", ("50",), ">"), id="compared, with spaces"),
        pytest.param("risk:>=50", Term("risk", ("50",), ">="), id="compared after a colon"),
        pytest.param("risk:5..80", Term("risk", ("5",), "..", "80"), id="range"),
        pytest.param("risk:5..*", Term("risk", ("5",), ">="), id="open range"),
        pytest.param("risk:..5", Term("risk", ("5",), "<="), id="range open below"),
        pytest.param("asn:AS3320", Term("asn", ("3320",)), id="as number"),
        pytest.param("severity:HIGH", Term("severity", ("high",)), id="choice in any case"),
        pytest.param("country:de", Term("country", ("DE",)), id="country in any case"),
        pytest.param("id:x", Term("event", ("x",)), id="alias"),
        pytest.param("details.a.b:x", Term("details.", ("x",), path=("a", "b")), id="path"),
        pytest.param(
            'details."a.b \\" c":x', Term("details.", ("x",), path=('a.b " c',)), id="quoted key"
        ),
        pytest.param(
            "has:details.a", Term("has", ("details.",), path=("a",)), id="has of the details"
        ),
        pytest.param("user:or", Term("user", ("or",)), id="or as a value"),
        pytest.param('"or"', Term("text", ("or",)), id="or in quotes"),
        pytest.param("file://x", None, id="a colon in a word"),
    ],
)
def test_text_is_read_as(text: str, node: object) -> None:
    if node is None:
        with pytest.raises(QueryError, match="unknown field"):
            parse(text)
    else:
        assert parse(text) == node


@pytest.mark.parametrize(
    ("text", "position", "length", "said", "cure"),
    [
        pytest.param("a usr:x", 2, 3, "unknown field 'usr'", "did you mean user?", id="field"),
        pytest.param("!user:x", 0, 5, "unknown field", "did you mean -user?", id="other not"),
        pytest.param("2001:db8::1", 0, 4, "unknown field", "ip:2001:db8::7", id="bare v6"),
        pytest.param('x "ab', 2, 1, "quote that is not closed", 'closing "', id="quote"),
        pytest.param('a"b"', 1, 1, "quote inside a word", "in quotes", id="quote inside"),
        pytest.param('"a"b', 3, 1, "no space after", "a space", id="after a quote"),
        pytest.param("(a (b)", 0, 1, "bracket that is not closed", ")", id="bracket"),
        pytest.param("a)", 1, 1, "bracket that was not opened", "leave it out", id="closing"),
        pytest.param("()", 0, 1, "nothing in the brackets", "a condition", id="empty brackets"),
        pytest.param("f(x)", 1, 1, "bracket inside a word", "quotes", id="call"),
        pytest.param("user:", 0, 5, "nothing after user:", "user:jane*", id="no value"),
        pytest.param("user: OR a", 0, 5, "nothing after user:", "user:jane*", id="or for a value"),
        pytest.param('user:""', 5, 2, "an empty value", "-has:user", id="empty value"),
        pytest.param('""', 0, 2, "nothing in the quotes", "", id="empty phrase"),
        pytest.param("a OR", 2, 2, "nothing after OR", "quotes", id="or at the end"),
        pytest.param("OR a", 0, 2, "nothing before OR", "quotes", id="or at the beginning"),
        pytest.param("a AND OR b", 2, 3, "nothing after AND", "quotes", id="and or"),
        pytest.param("NOT", 0, 3, "nothing after NOT", "quotes", id="not alone"),
        pytest.param(">5", 0, 1, "no field before >", "field:value", id="operator alone"),
        pytest.param("user>5", 4, 1, "> is not for user", "user:jane*", id="operator"),
        pytest.param("user:(a b)", 8, 1, "nothing between", "OR", id="two values"),
        pytest.param("user:(a OR role:b)", 11, 6, "a field inside", "close", id="field inside"),
        pytest.param("risk>(1 OR 2)", 5, 1, "comparison with several", "one value", id="compared"),
        pytest.param("ip:1.2.3", 3, 5, "neither an address", "203.0.113.42", id="ip"),
        pytest.param("ip:fe80::1%eth0", 3, 12, "neither an address", "203.0", id="ip with zone"),
        pytest.param("risk:high", 5, 4, "not a number", "risk>50", id="number"),
        pytest.param("risk:-1", 5, 2, "not a number", "risk>50", id="negative"),
        pytest.param("risk:9..1", 5, 4, "ends before it begins", "exchange", id="range"),
        pytest.param("risk>1..2", 5, 4, "a range after", "risk:50..80", id="range compared"),
        pytest.param("offset:99999999999999999999", 7, 20, "not a number", "", id="too large"),
        pytest.param("result:succes", 7, 6, "not a value of result", "success?", id="choice"),
        pytest.param("result:fail*", 7, 5, "no * in", "failure", id="star in a choice"),
        pytest.param("is:red", 3, 3, "not a value of is", "read?", id="is"),
        pytest.param("has:nope", 4, 4, "unknown field", "", id="has"),
        pytest.param("has:since", 4, 5, "has: is not for since", "another", id="has of a moment"),
        pytest.param("since:soon", 6, 4, "since is not a moment", "7d", id="moment"),
        pytest.param("details.n>x", 10, 1, "not a number", "details.record_count", id="member"),
        pytest.param("details.:x", 0, 8, "not a path", "details.key", id="no path"),
        pytest.param("details.a..b:x", 0, 12, "not a path", "details.key", id="empty key"),
        pytest.param("a\ud800", 1, 1, "half a character", "leave it out", id="surrogate"),
    ],
)
def test_error_points_at_the_character_and_says_what_works(
    text: str, position: int, length: int, said: str, cure: str
) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    error = caught.value
    assert (error.position, error.length) == (position, length)
    assert said in error.said
    assert cure in error.cure
    assert error.kind == "bad_query"


def test_error_shows_nothing_that_deceives() -> None:
    with pytest.raises(QueryError) as caught:
        parse("\u202eevil\x1b[31m" + "x" * 90 + ":1")
    assert caught.value.said.removeprefix("unknown field ").isprintable()
    assert len(caught.value.said) < 60


def test_period_that_ends_before_it_begins_is_told_at_since() -> None:
    with pytest.raises(QueryError) as caught:
        compile_query(parse("a since:1d until:2d"), NOW_US)
    assert (caught.value.position, caught.value.length) == (2, 8)
    assert compile_query(parse("since:1d OR until:2d"), NOW_US).clauses


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("user:a OR user:b", "user:(a OR b)"),
        ("NOT (a OR b) user = x", "-(a OR b) user:x"),
        ("a b OR c", "(a b) OR c"),
        ("--a", "a"),
        ('user:"x*"  ip_address:::1', 'user:"x*" ip:"::1"'),
        ("has:(user OR details.a)", "has:(user OR details.a)"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert text_of(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "all events"),
        ("user:jane*", "events where user begins with “jane”"),
        ("-result:success", "events where result is not “success”"),
        ("risk>50 OR risk:1..5", "events where risk is over 50 or risk is 1 to 5"),
        ("-(a b)", "events where not (the event holds “a” and the event holds “b”)"),
        ("-user:a*b", "events where not (user begins with “a” and ends with “b”)"),
        (
            "since:1d until:2025-10-11",
            "events where it was after 1 day ago and it was before 2025-10-11",
        ),
        (
            "-has:ip details.a.b:*x*",
            "events where it does not say its ip and details a b holds “x”",
        ),
        (
            "ip:10.0.0.0/8 details:x*y",
            "events where ip is in “10.0.0.0/8” and the text of the details holds “x” and then “y”",
        ),
        ("is:protected", "events where it is about data that a law protects"),
        ("user:*", "events where user is anything"),
    ],
)
def test_description_in_plain_english(text: str, said: str) -> None:
    assert describe(parse(text)) == said


def test_joining_takes_apart_what_is_joined_already() -> None:
    assert all_of([All((JANE,)), EVERYTHING, JOE]) == All((JANE, JOE))
    assert either_of([Either((JANE, JOE)), JANE]) == Either((JANE, JOE, JANE))
    assert all_of([]) == EVERYTHING


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("okta", "add since:24h"),
        ("okta", "texts and details"),
        ("since:7d user:jane*", "bring since closer"),
        ("since:7d user:jane*", "session, user, ip, resource"),
        ("since:7d until:1d user:jane", "closer together"),
    ],
)
def test_query_that_is_too_broad_says_how_to_narrow_it(text: str, cure: str) -> None:
    refused = too_broad(parse(text))
    assert cure in refused.cure
    assert (refused.kind, refused.field) == ("query_too_broad", "q")


def test_query_on_an_exact_user_is_not_told_to_name_one() -> None:
    assert "exactly" not in too_broad(parse("user:jane since:7d")).cure
