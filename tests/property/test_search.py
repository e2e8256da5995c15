"""Laws of search: text is never SQL, cursors and moments come back."""

import contextlib
import ipaddress
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.access import ROLES, Principal
from console.query.patterns import like
from console.search.asked import Search, address_range, conditions, page, to_coordinates
from console.search.cursor import ALERT_KEY, EVENT_KEY, Cursor, decode, encode
from console.search.moment import microseconds, parse_moment, rfc3339
from console.web.problems import Refused

ANYBODY = Principal("p", frozenset(ROLES))
OF_ACME = Principal("p", frozenset(ROLES), "acme")
NOW_US = 1_760_300_000_000_000
TEXT = st.text(min_size=1, max_size=40).filter(lambda text: text.count("*") <= 8)


@given(user=TEXT, resource=TEXT, text=TEXT, session=TEXT, tenant=TEXT)
def test_text_from_outside_never_reaches_the_sql(
    user: str, resource: str, text: str, session: str, tenant: str
) -> None:
    def sql(**asked: str) -> str:
        search = Search(**asked)
        return to_coordinates(conditions(search, ANYBODY, NOW_US), 51).sql

    def shape(pattern: str) -> str:
        """The same kind of pattern, of one letter."""
        head = pattern.rstrip("*")
        if "*" in head:
            return "x*x"
        return ("x" if head else "") + ("*" if head != pattern else "")

    hostile = sql(user=user, resource=resource, text=text, session=session, tenant=tenant)
    plain = sql(user=shape(user), resource=shape(resource), text="x", session="x", tenant="x")
    assert hostile == plain


@given(pattern=TEXT, value=st.text(max_size=40))
def test_a_pattern_matches_what_its_stars_allow(pattern: str, value: str) -> None:
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    assert bool(_as_like(like(tuple(pattern.split("*")))).fullmatch(value)) == bool(
        wanted.fullmatch(value)
    )


def _as_like(pattern: str) -> re.Pattern[str]:
    """Read a LIKE pattern as ClickHouse documents it: a model to hold ours against."""
    out, position = "", 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            position += 1
            out += re.escape(pattern[position])
        else:
            out += {"%": ".*", "_": "."}.get(char, re.escape(char))
        position += 1
    return re.compile(out, re.DOTALL)


@given(network=st.one_of(st.ip_addresses().map(str), st.ip_addresses(v=4).map(lambda a: f"{a}/17")))
def test_a_range_holds_its_address_and_is_in_order(network: str) -> None:
    first, last = map(ipaddress.IPv6Address, address_range(network))
    address = ipaddress.ip_address(network.split("/", maxsplit=1)[0])
    wide = int(address) | (0xFFFF << 32) if address.version == 4 else int(address)
    assert int(first) <= wide <= int(last)


@given(
    moment=st.integers(-(2**62), 2**62),
    key=st.tuples(st.text(max_size=30), st.integers(0, 65535), st.integers(0, 2**63 - 1)),
)
def test_a_cursor_comes_back(moment: int, key: tuple[str, int, int]) -> None:
    cursor = Cursor(moment, key)
    assert decode(encode(cursor, "q"), "q", EVENT_KEY) == cursor


@given(text=st.text(max_size=600))
def test_what_we_did_not_make_is_no_cursor(text: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(text, "q", ALERT_KEY)
    assert caught.value.field == "cursor"


@given(text=st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    with contextlib.suppress(Refused):
        moment_us = parse_moment(text, NOW_US, "since")
        assert parse_moment(rfc3339(moment_us), NOW_US, "since") == moment_us


@given(moment=st.datetimes(datetime(1900, 1, 1), datetime(2299, 12, 31)))  # noqa: DTZ001 - made UTC below
def test_a_moment_comes_back(moment: datetime) -> None:
    moment_us = microseconds(moment.replace(tzinfo=UTC))
    assert parse_moment(rfc3339(moment_us), NOW_US, "since") == moment_us


def test_a_tenants_token_narrows_every_search() -> None:
    found = conditions(Search(user="x"), OF_ACME, NOW_US)
    assert "tenant = {tenant:String}" in found.clauses
    assert found.parameters["tenant"] == "acme"
    with pytest.raises(Refused, match="forbidden_tenant"):
        conditions(Search(tenant="other"), OF_ACME, NOW_US)


def test_a_cursor_belongs_to_its_search() -> None:
    search = Search(user="x")
    cursor = encode(Cursor(1, ("i", 0, 1)), search.question())
    page(
        conditions(search, ANYBODY, NOW_US),
        search.model_copy(update={"cursor": cursor, "limit": 9}),
    )
    other = Search(user="y", cursor=cursor)
    with pytest.raises(Refused, match="another search"):
        page(conditions(other, ANYBODY, NOW_US), other)
