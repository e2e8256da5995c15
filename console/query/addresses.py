"""Addresses and networks as a query names them, and the range of IPv6 addresses that they are."""

import ipaddress
import re
from typing import Final

from console.web.problems import Refused

_MAPPED: Final = 0xFFFF << 32  # IPv4 lies in ::ffff:0:0/96
_STARS: Final = re.compile(r"((?:\d{1,3}\.){1,3})\*", re.ASCII)


def address_range(text: str) -> tuple[str, str]:
    """Return first and last address of an address or CIDR as IPv6 texts; v4 lies in ::ffff:0:0/96.

    Raises `Refused` naming the field.
    """
    wrong = Refused(
        "bad_parameter",
        "ip is neither an address nor a range",
        field="ip",
        cure="write 203.0.113.42, 203.0.113.0/24 or 2001:db8::/32",
    )
    if "%" in text:  # a zone, such as fe80::1%eth0, says nothing outside of its machine
        raise wrong
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise wrong from error
    first, last = int(network.network_address), int(network.broadcast_address)
    if isinstance(network, ipaddress.IPv4Network):
        first, last = first | _MAPPED, last | _MAPPED
    return str(ipaddress.IPv6Address(first)), str(ipaddress.IPv6Address(last))


def single_address(text: str) -> str | None:
    """Return the IPv6 text of a single address; None if it is none."""
    try:
        first, last = address_range(text)
    except Refused:
        return None
    return first if first == last else None


def network_of_stars(text: str) -> str | None:
    """Return the network that 203.0.113.* is; None if it is not written so."""
    found = _STARS.fullmatch(text)
    if found is None:
        return None
    given = found[1].count(".")
    return f"{found[1]}{'.'.join('0' * (4 - given))}/{8 * given}"
