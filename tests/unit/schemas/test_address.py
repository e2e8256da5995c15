from ipaddress import ip_address

import pytest

from schemas.address import is_private, parse_address
from schemas.errors import BadEvent


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "0.1.2.3",
        "198.18.0.1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "::1",
        "::",
    ],
)
def test_address_that_many_networks_have_is_private(text: str) -> None:
    assert is_private(ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.42",  # the three of RFC 5737
        "198.51.100.1",
        "192.0.2.1",
        "2001:db8::1",  # RFC 3849
        "9.255.255.255",
        "11.0.0.0",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "9.9.9.9",
        "::2",
        "fbff::1",
        "fec0::1",
        "2001:4860:4860::8888",
    ],
)
def test_address_of_the_internet_or_of_documentation_is_not_private(text: str) -> None:
    assert not is_private(ip_address(text))


@pytest.mark.parametrize("text", ["::ffff:10.0.0.1", "fe80::1%eth0"])
def test_mapped_and_zoned_addresses_are_judged_by_what_they_are(text: str) -> None:
    assert is_private(parse_address(text))


def test_what_is_no_address_is_refused_with_its_cure() -> None:
    with pytest.raises(BadEvent) as caught:
        parse_address("1.2.3.400")
    assert (caught.value.reason, caught.value.hint) == (
        "ip_address:invalid",
        "send an IPv4 or IPv6 address",
    )
