"""Conditions on the real engine find what the oracle says, whatever the query."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from console.query import QueryError, compile_query, parse, text_of
from console.query.tree import Node, Term, all_of, either_of, not_of
from console.query.values import STARS_MAX
from console.search.asked import to_coordinates
from runtime.clickhouse import Store
from tests.integration.query.conftest import ACTIONS, USERS
from tests.integration.query.oracle import holds

NOW_US = 1_760_300_000_000_000

EXAMPLES = [
    "user:jane* action:authentication.* -result:success ip:203.0.113.0/24 since:30d",
    "user:jane",
    "user:Jane OR user:jane",
    "user:(jane OR Jane OR größe)",
    'user:"a \\"b\\" c"',
    "user:o'hara\\\\x",
    "user:*a*b*",
    "user:a_b",
    "user:100%",
    "user:*",
    "-user:jane*",
    "ACTION:Authentication.Login.*",
    "-result:success",
    "result:unknown",
    "is:failed",
    "-is:failed is:changed",
    "is:protected",
    "is:read",
    "has:ip -has:resource",
    "has:details.none",
    "has:details.flag",
    "has:details",
    "-has:details",
    "has:result has:country",
    "ip:203.0.113.*",
    "ip:203.0.113.42",
    "ip:2001:db8::/32",
    "ip:::/0",
    "ip:0.0.0.0/0",
    "-ip:0.0.0.0/0",
    "severity>=high",
    "severity:low..high",
    "severity<medium",
    "-severity:critical",
    "risk>50",
    "risk>=50 risk<100",
    "risk:10..51",
    "risk:51..",
    "asn<10000",
    "-asn<10000",
    "asn:AS3320",
    "country:de",
    "flag:late",
    "flag:(off_hours AND protected)",
    "flag:off*",
    "-flag:*",
    "rule:retention*",
    "changed:retention.*",
    'before:"90 days"',
    "before:90*",
    "after:180",
    "after:1*0",
    "resource:x\\*y",
    'resource:"x*y"',
    "resource:x*y",
    "resource_id:(r-1 OR r-2) resource:*",
    "session:s1",
    "tenant:acme",
    "offset:10..20",
    "offset<5 partition:0",
    "event:e-7",
    "details.format:csv",
    "details.format:CSV",
    "details.format:*s*",
    "details.format:*",
    "-details.format:csv",
    "details.record_count>1000",
    "details.record_count:1523",
    "details.record_count:1000..2000",
    "details.record_count<1000",
    "details.file_size_mb:12.40",
    "details.file_size_mb>=12.4",
    'details.nested."a.b":deep',
    "details.nested.n:-3",
    "details.nested.n<0",
    "details.list:jane",
    "details.list:7",
    "details.list>6",
    "details.flag:true",
    "details.none:null",
    'details.note:"Größe \\"XL\\" a\\\\b\\n"',
    "details.path:a/*",
    "details.big:12345678901234567890123",
    "details:größe",
    "details:xl",
    'details:"1523"',
    "text:csv",
    "jane",
    "GRÖSSE",
    "größe",
    '"free text"',
    "free*here",
    "203.0.113.42",
    "e-7",
    "authentication",
    '"a/b"',
    "voice_call because",
    "voice_call OR because",
    "NOT (jane OR csv)",
    "-(user:jane risk>50) since:10d until:2025-10-11",
    "since:2025-10-08 until:2025-10-09",
    "-since:4d",
    "",
    "*",
    "-*",
]


def found(store: Store, node: Node) -> set[int]:
    query = to_coordinates(compile_query(node, NOW_US), 1_000)
    return {int(row["offset"]) for row in store.query(query.sql, query.parameters)}


@pytest.mark.parametrize("text", EXAMPLES)
def test_engine_finds_what_the_query_means(
    store: Store, rows: list[dict[str, Any]], text: str
) -> None:
    node = parse(text)
    wanted = {row["offset"] for row in rows if holds(node, row, NOW_US)}
    assert found(store, node) == wanted
    assert found(store, not_of(node)) == {row["offset"] for row in rows} - wanted


def test_examples_find_something_and_not_everything(
    store: Store, rows: list[dict[str, Any]]
) -> None:
    counts = [len(found(store, parse(text))) for text in EXAMPLES]
    assert sum(0 < count < len(rows) for count in counts) > 0.9 * len(EXAMPLES)


WORDS = [*USERS, *ACTIONS, "csv", "x*y", "s1", "r-1", "a.b", "%", "_", "\\", '"', "90 days", ""]


def parts() -> st.SearchStrategy[tuple[str, ...]]:
    word = st.sampled_from(WORDS) | st.text(max_size=3)
    cut = st.tuples(word, st.integers(0, 4), st.integers(0, 4)).map(lambda one: one[0][one[1] :])
    whole = st.sampled_from([one for one in WORDS if one]).map(lambda one: (one,))
    return whole | st.lists(cut, min_size=2, max_size=STARS_MAX).map(
        lambda given: (given[0], *(part for part in given[1:-1] if part), given[-1])
    )


def terms() -> st.SearchStrategy[Node]:
    lower = parts().map(lambda given: tuple(part.lower() for part in given))
    texts = st.sampled_from(["user", "resource", "resource_id", "session", "role", "reason"])
    lists = st.sampled_from(["rule", "changed", "before", "after"])
    order = st.sampled_from([":", "<", "<=", ">", ">="])
    return st.one_of(
        st.builds(Term, texts, parts()),
        st.builds(Term, lists, parts()),
        st.builds(Term, st.just("action"), lower),
        st.builds(Term, st.just("risk"), st.sampled_from([("0",), ("50",), ("100",)]), order),
        st.builds(Term, st.just("severity"), st.sampled_from([("low",), ("high",)]), order),
        st.builds(Term, st.just("is"), st.sampled_from([("failed",), ("changed",)])),
        st.builds(Term, st.just("has"), st.sampled_from([("ip",), ("role",), ("details",)])),
        st.builds(
            Term, st.just("details."), parts(), path=st.sampled_from([("format",), ("list",)])
        ),
    )


def nodes() -> st.SearchStrategy[Node]:
    return st.recursive(
        terms(),
        lambda inner: st.one_of(
            inner.map(not_of),
            st.lists(inner, min_size=2, max_size=3).map(all_of),
            st.lists(inner, min_size=2, max_size=3).map(either_of),
        ),
        max_leaves=6,
    )


@given(node=nodes())
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_engine_agrees_with_the_oracle_on_any_query(
    store: Store, rows: list[dict[str, Any]], node: Node
) -> None:
    assert parse(text_of(node)) == node
    assert found(store, node) == {row["offset"] for row in rows if holds(node, row, NOW_US)}


HOSTILE = [
    "'; DROP TABLE events; --",
    "{p0:String}",
    "\\",
    "\\'",
    "\0",
    "\u202egpj.exe",
    "\N{SKULL}",
    "%_%",
    "x" * 3_000,
    "a\nb\tc",
    "${jndi:ldap://x}",
    "*/ OR 1=1 /*",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["user", "action", "flag", "before", "details", "text"])
def test_hostile_text_is_only_text(
    store: Store, rows: list[dict[str, Any]], field: str, value: str
) -> None:
    for node in (Term(field, (value,)), Term("details.", ("x",), path=(value,))):
        assert found(store, node) == {row["offset"] for row in rows if holds(node, row, NOW_US)}
        assert len(found(store, not_of(node))) == len(rows) - len(found(store, node))


def test_the_longest_query_is_answered(store: Store) -> None:
    most = " OR ".join(f"user:u{number}*" for number in range(64))
    assert found(store, parse(most)) == set()
    with pytest.raises(QueryError, match="over 64 conditions"):
        parse(most + " OR user:one")
