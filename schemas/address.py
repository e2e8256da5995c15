"""The address of an event: what is one, and what is not. Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from schemas.errors import BadEvent


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
