"""How often a login may be tried: by name and by address, each try at a growing distance. Pure."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

KNOWN_MAX: Final = 10_000  # names and addresses remembered; the longest unseen is forgotten
FORGET_S: Final = 3_600.0  # without a try for so long, all is as before


@dataclass(frozen=True, slots=True)
class Pace:
    """So many tries at once; then a wait that doubles with each, up to a bound."""

    free: int
    wait_s: float
    wait_s_max: float


# Who knows a name only could lock its owner out: so its wait stays short. 12 characters at a
# guess a minute are safe enough.
BY_NAME: Final = Pace(free=5, wait_s=1.0, wait_s_max=60.0)
BY_ADDRESS: Final = Pace(free=20, wait_s=1.0, wait_s_max=900.0)  # an office may share one


@dataclass(slots=True)
class _Tries:
    count: int
    next_s: float
    last_s: float


class Tries:
    """The failed tries of one kind of key, bounded."""

    def __init__(self, pace: Pace, known_max: int = KNOWN_MAX) -> None:
        self._pace = pace
        self._known_max = known_max
        self._known: OrderedDict[str, _Tries] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """Return how long to wait before the next try; 0 if it may be made now."""
        known = self._known.get(key)
        return max(0.0, known.next_s - now_s) if known is not None else 0.0

    def tried(self, key: str, now_s: float) -> None:
        """Count a try; it counts as failed until `forget`, so that many at once gain nothing."""
        known = self._known.pop(key, None)
        if known is None or now_s - known.last_s > FORGET_S:
            known = _Tries(0, now_s, now_s)
        known.count += 1
        known.last_s = now_s
        over = known.count - self._pace.free
        if over >= 0:
            known.next_s = now_s + min(
                self._pace.wait_s_max, self._pace.wait_s * 2.0 ** min(over, 30)
            )
        self._known[key] = known
        while len(self._known) > self._known_max:
            self._known.popitem(last=False)

    def forget(self, key: str) -> None:
        """Take the tries of a key back: it was who they said."""
        self._known.pop(key, None)

    def take_back(self, key: str, now_s: float) -> None:
        """Take the last try of a key back, and no other."""
        known = self._known.get(key)
        if known is not None:
            known.count -= 1
            known.next_s = now_s

    def __len__(self) -> int:
        return len(self._known)


class LoginLimit:
    """By name and by address together. A name that isn't there is counted like one that is."""

    def __init__(self) -> None:
        self._names = Tries(BY_NAME)
        self._addresses = Tries(BY_ADDRESS)

    def wait_s(self, name: str, client: str, now_s: float) -> float:
        """Return how long to wait before the next try; a try that may be made now is counted."""
        place = network(client)
        wait = max(self._names.wait_s(name, now_s), self._addresses.wait_s(place, now_s))
        if wait <= 0:
            self._names.tried(name, now_s)
            self._addresses.tried(place, now_s)
        return wait

    def wait_place_s(self, client: str, now_s: float) -> float:
        """Return the same for a login that names nobody, such as by a link."""
        place = network(client)
        wait = self._addresses.wait_s(place, now_s)
        if wait <= 0:
            self._addresses.tried(place, now_s)
        return wait

    def place_succeeded(self, client: str, now_s: float) -> None:
        """Take back what was counted of one that named nobody."""
        self._addresses.take_back(network(client), now_s)

    def succeeded(self, name: str, client: str, now_s: float) -> None:
        """Forget the tries of the name, but of its address only this one.

        Else whoever has an account could guess others' passwords for ever, logging in between.
        """
        self._names.forget(name)
        self._addresses.take_back(network(client), now_s)


def network(client: str) -> str:
    """Return what one person holds: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
