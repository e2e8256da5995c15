"""Where a login leads: whatever is asked, to this host."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.people.way import HOME, safe_next

BASE = "http://console.example/login"
hostile = st.text(alphabet=st.sampled_from("/\\@:?#%.&=\t\r\n\x00 ahjlox2f5cé\u202e"), max_size=40)


@given(
    wanted=st.text(max_size=200) | hostile | hostile.map("/".__add__) | hostile.map("//".__add__)
)
def test_a_login_stays_on_this_host(wanted: str) -> None:
    path = safe_next(wanted)
    assert path.isascii()
    assert path.isprintable()
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert "\\" not in path
    assert urlsplit(urljoin(BASE, path)).netloc == "console.example"
    assert safe_next(path) == path


@given(path=st.from_regex(r"\A/(search|people|events/[a-z0-9%]{1,9})(\?[a-z0-9=&%+:*]{0,40})?\Z"))
def test_a_page_of_ours_is_kept_as_it_is(path: str) -> None:
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "http:evil.example",
        "https://evil.example",
        "\\\\evil.example",
        " /search",
        "/search\r\nset-cookie: x=y",
        "/login",
        "/login?next=/login",
        "/logout",
        "x" * 10,
        "/" + "x" * 3_000,
        "",
    ],
)
def test_what_leads_elsewhere_leads_home(wanted: str) -> None:
    assert safe_next(wanted) == HOME


def test_what_only_begins_like_the_login_is_a_page() -> None:
    assert safe_next("/logins") == "/logins"
