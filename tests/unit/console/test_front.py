"""How browsers come: cookies by port and by TLS, clients behind proxies."""

import ipaddress

import pytest

from console.web.front import Front, read_cookie

PROXY = Front(proxies=[ipaddress.ip_network("10.0.0.0/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        pytest.param("203.0.113.9", ["198.51.100.7"], "203.0.113.9", id="no proxy of ours"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="it names nobody"),
        pytest.param("10.0.0.1", ["198.51.100.7"], "198.51.100.7", id="it names a client"),
        pytest.param("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7", id="the client lies"),
        pytest.param("10.0.0.1", ["1.1.1.1", "198.51.100.7"], "198.51.100.7", id="in two headers"),
        pytest.param("10.0.0.1", ["198.51.100.7, 10.0.0.2"], "198.51.100.7", id="two proxies"),
        pytest.param("10.0.0.1", ["198.51.100.7:4711"], "198.51.100.7", id="with a port"),
        pytest.param("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1", id="six with a port"),
        pytest.param("10.0.0.1", ["unknown"], "10.0.0.1", id="no address"),
        pytest.param("", ["198.51.100.7"], "", id="a socket"),
    ],
)
def test_a_client_is_whom_a_proxy_of_ours_names(
    peer: str, forwarded: list[str], client: str
) -> None:
    assert PROXY.client(peer, forwarded) == client


def test_endless_hops_are_not_followed() -> None:
    hops = ",".join(["10.0.0.2"] * 10_000)
    assert PROXY.client("10.0.0.1", [f"1.1.1.1,{hops}"]) == "10.0.0.2"


def test_cookies_of_two_stacks_on_one_machine_differ() -> None:
    plain = Front()
    assert plain.cookie("127.0.0.1:6060") == "audit_session_6060"
    assert plain.cookie("localhost:7070") == "audit_session_7070"
    assert plain.cookie("[::1]:6060") == "audit_session_6060"
    assert plain.cookie("audit") == "audit_session"
    assert Front("https://audit.example").cookie("audit.example") == "__Host-audit_session"


def test_addresses_of_ours_are_the_public_ones_where_there_are() -> None:
    assert Front().address("127.0.0.1:6060") == "http://127.0.0.1:6060"
    assert Front("https://audit.example/").address("x") == "https://audit.example"
    assert Front("https://audit.example:8443").hosts == {"audit.example"}
    assert Front("https://[2001:db8::1]").hosts == {"[2001:db8::1]"}
    assert Front().hosts == frozenset()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("a=1; s=2", "2"),
        ("s=2", "2"),
        ("xs=1", ""),
        ("s=1; s=2", ""),
        ("s=1; s=1", "1"),
        ("s", ""),
        ("", ""),
        ("s=a=b", "a=b"),
    ],
)
def test_a_cookie_is_read_by_its_whole_name(header: str, value: str) -> None:
    assert read_cookie(header, "s") == value
