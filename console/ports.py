"""What the API needs of parts that it may not import; the composition root hands it in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.doctor import Probe
from schemas.ledger import Ledger
from schemas.views import ReplayAsked, ReplayDone


@dataclass(frozen=True, slots=True)
class Read:
    """One read through the API: what was asked of which path, and how many rows it gave."""

    path: str
    asked: Mapping[str, Any]
    tenant: str | None
    rows: int


async def unseen(_read: Read) -> None:
    """Tell nobody of a read: for tests, and until reads are events themselves."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Calls into other parts. Each raises `Unavailable` where what it needs is away.

    `saw` is awaited before a read is answered, so that no parameter of a request can skip it.
    """

    ledger: Callable[[], Awaitable[Ledger]]
    replay: Callable[[ReplayAsked], Awaitable[ReplayDone]]
    probes: Sequence[Probe] = field(default=())
    saw: Callable[[Read], Awaitable[None]] = unseen
