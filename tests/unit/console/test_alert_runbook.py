"""Commands of runbooks become the addresses of pages, in the language of the search."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.alerts.runbook import link_of, steps
from console.query.parse import parse

AT_US = 1_760_300_000_000_000  # 2025-10-12T20:13:20Z
WEEK_US = 604_800_000_000


def query_of(command: str) -> str:
    link = link_of(command, AT_US)
    assert link is not None, command
    assert link.startswith("/search?")
    return parse_qs(urlsplit(link).query).get("q", [""])[0]


@pytest.mark.parametrize(
    ("command", "query"),
    [
        ("audit search --user jane@company.com", "user:jane@company.com"),
        ("audit search --user jane --since 24h", "user:jane since:2025-10-11T20:13:20Z"),
        ("audit search --action 'api.key.*' --since 1h", "action:api.key.* since:2025-10-12T19"),
        ("audit search --session='s 1'", 'session:"s 1"'),
        ("audit search --ip 203.0.113.0/24", "ip:203.0.113.0/24"),
        ("audit search --resource-id 7 --result denied", "resource_id:7 result:denied"),
        ("audit search --text 'a \"b'", '"a \\"b"'),
        ("audit search --ip 10.0.0.1 --json --limit 5 --format csv", "ip:10.0.0.1"),
        ("audit search --since 2025-10-01", "since:2025-10-01"),
    ],
)
def test_a_search_becomes_the_same_in_the_language_of_the_page(command: str, query: str) -> None:
    assert query_of(command).startswith(query)


@pytest.mark.parametrize(
    ("command", "link"),
    [
        ("audit show 3:41", "/events/3%3A41"),
        ("audit show 'a/b?c'", "/events/a%2Fb%3Fc"),
        ("audit alerts --user jane", "/alerts?user=jane&status=any"),
        ("audit alerts list --rule r", "/alerts?rule=r&status=any"),
        ("audit search --user 'jane", None),
        ("audit search --nonsense x", None),
        ("audit search jane", None),
        ("audit search --user", None),
        ("audit search --since whenever", None),
        ("audit alerts resolve abc", None),
        ("audit rules lint", None),
    ],
)
def test_other_commands_have_the_page_that_shows_the_same_or_none(
    command: str, link: str | None
) -> None:
    assert link_of(command, AT_US) == link


def test_lines_are_told_apart_from_their_commands() -> None:
    found = steps("Phone them.\n\nLook: audit search --user x", AT_US, AT_US + WEEK_US)
    assert [(one["said"], one["command"]) for one in found] == [
        ("Phone them.", None),
        ("Look:", "audit search --user x"),
    ]


def test_a_look_back_is_from_the_alerts_moment_but_not_from_the_future() -> None:
    past = steps("audit search --since 1d", AT_US - WEEK_US, AT_US)[0]["link"]
    ahead = steps("audit search --since 1d", AT_US + WEEK_US, AT_US)[0]["link"]
    assert "2025-10-04T20" in past
    assert "2025-10-11T20" in ahead


@given(st.text(max_size=200), st.text(max_size=60))
def test_whatever_a_command_holds_its_link_is_one_that_the_search_can_read(
    rest: str, value: str
) -> None:
    for command in (f"audit search {rest}", f"audit search --user={value!r} --text={value!r}"):
        link = link_of(command, AT_US)
        if link is not None:
            query = parse_qs(urlsplit(link).query).get("q", [""])[0]
            if query and len(query) < 1_000:
                parse(query)
