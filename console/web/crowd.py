"""How many may be here at once, in all and of one address, so that nobody holds all others up."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from console.people.limit import network
from console.web.problems import Refused
from console.web.shield import Message, Receive


@dataclass(frozen=True, slots=True)
class Room:
    """How many there may be; `each` is of one address, but for loopback, which all may share."""

    total: int
    each: int


class Crowd:
    """Counts those that are here, by address."""

    def __init__(self, room: Room, said: str) -> None:
        self._room = room
        self._said = said
        self._here: Counter[str] = Counter()

    def require_room(self, client: str) -> None:
        """Raise `Refused` if another one of this address can't be taken in now."""
        of_one = self._here[network(client)]
        is_many = of_one >= self._room.each and not _is_loopback(client)
        if is_many or self._here.total() >= self._room.total:
            raise Refused("busy", self._said)

    @contextmanager
    def here(self, client: str) -> Iterator[None]:
        """Count one while the block runs. Raises `Refused` as `require_room` does."""
        self.require_room(client)
        place = network(client)
        self._here[place] += 1
        try:
            yield
        finally:
            self._here -= Counter({place: 1})  # what is at 0 is forgotten


STRANGERS_AT_WORK_MAX: Final = 8  # the login's page and files, and logins
# Also those that are still being sent, and those that wait: in memory, at no place of work. A
# browser fetches a page's files by six connections.
STRANGERS: Final = Room(64, each=12)
SENDING_S_MAX: Final = 5.0  # for a whole request of a stranger; a login has a few hundred bytes
LOOKUPS: Final = Room(192, each=32)  # of who asks: a wrong token or cookie costs one too


async def received(receive: Receive, seconds: float) -> Receive:
    """Wait for a whole request; return a `receive` that gives it. Raises `TimeoutError`."""
    messages: list[Message] = []
    async with asyncio.timeout(seconds):
        while not messages or messages[-1].get("more_body", False):
            messages.append(await receive())
    given = iter(messages)

    async def give() -> Message:
        return next(given, None) or await receive()

    return give


def _is_loopback(client: str) -> bool:
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False
