"""The address of an event: what is one, and what is not. Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from schemas.errors import BadEvent

# Addresses that any number of networks have at once. `is_private` of ipaddress says it also of
# documentation's, and not of carriers'.
_PRIVATE: Final = tuple(
    ip_network(network)
    for network in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",  # this machine
        "169.254.0.0/16",  # the link
        "100.64.0.0/10",  # carriers' translation, RFC 6598
        "0.0.0.0/8",  # this network, RFC 791
        "198.18.0.0/15",  # tests between devices, RFC 2544
        "fc00::/7",  # RFC 4193
        "fe80::/10",
        "::1/128",
        "::/128",
    )
)


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """Read an address; a mapped IPv4 is an IPv4, a zone is dropped. Raises `BadEvent`."""
    try:
        # a zone ("fe80::1%eth0") means nothing on another machine
        address = ip_address(text.partition("%")[0])
    except ValueError:
        raise BadEvent("ip_address", "invalid", "send an IPv4 or IPv6 address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """Say whether it names nobody on the internet: private, local, or behind a carrier."""
    return any(address in network for network in _PRIVATE)
