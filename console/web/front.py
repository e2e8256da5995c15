"""How browsers reach the console: under which address, behind which proxies, with which cookie."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
COOKIE: Final = "audit_session"
HOST_PREFIX: Final = "__Host-"  # a browser takes such a cookie only by TLS, for this host alone
HOPS_MAX: Final = 16  # proxies one after the other that are looked at


@dataclass(frozen=True, slots=True)
class Front:
    """`public_url` is what people type where a proxy with TLS stands in front; "" if none does.

    `proxies` are those whose word on who their client is counts.
    """

    public_url: str = ""
    proxies: Sequence[Network] = ()

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS."""
        return self.public_url.startswith("https://")

    @property
    def hosts(self) -> frozenset[str]:
        """The host of the public address, as a Host header names it."""
        name = urlsplit(self.public_url).hostname
        return frozenset({f"[{name}]" if ":" in name else name}) if name else frozenset()

    def address(self, host: str) -> str:
        """Return what our own addresses begin with; `host` is a Host header that was accepted."""
        return self.public_url.rstrip("/") or f"http://{host}"

    def cookie(self, host: str, name: str = COOKIE) -> str:
        """Return the name of a cookie of ours.

        Without TLS the port is in it: cookies of one host are shared between its ports, and two
        stacks on one machine would log each other out.
        """
        if self.is_secure:
            return HOST_PREFIX + name
        _, colon, port = host.rpartition(":")
        return f"{name}_{port}" if colon and port.isdecimal() else name

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Return who asks: the peer, or, if that is a proxy of ours, whom it names.

        `forwarded` are the values of X-Forwarded-For. Read from the right: what stands left of the
        first address that is no proxy of ours was written by whoever asks.
        """
        found = peer
        hops = [hop.strip() for value in forwarded for hop in value.split(",")]
        for hop in reversed(hops[-HOPS_MAX:]):
            if not self._is_proxy(found):
                break
            try:
                found = str(ipaddress.ip_address(_bare(hop)))
            except ValueError:
                break
        return found

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)


def read_cookie(header: str, name: str) -> str:
    """Return a cookie of a Cookie header; "" if it isn't there, or there twice with two values."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    found = {value for key, _, value in pairs if key == name}
    return found.pop() if len(found) == 1 else ""


def _bare(hop: str) -> str:
    """Return the address of a hop that some proxies write with its port."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def is_host(header: str, hosts: frozenset[str]) -> bool:
    """Say whether a Host header names this service, with or without a port.

    Without this a web page could have its own name point to loopback and read on.
    """
    name, colon, port = header.rpartition(":")
    if colon and port.isdecimal():
        return name.lower() in hosts
    return header.lower() in hosts


def host_names(host: str) -> frozenset[str]:
    """Return what clients may call a listening address, besides loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return frozenset({host.lower()})
    if isinstance(address, ipaddress.IPv6Address):
        return frozenset({f"[{address}]"})
    return frozenset({str(address)})
