"""What the API needs of parts that it may not import; the composition root hands it in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.access import Principal
from console.alert_changes import AlertChange
from console.doctor import Probe
from schemas.errors import StoreUnavailable
from schemas.ledger import Ledger
from schemas.views import ReplayAsked, ReplayDone


@dataclass(frozen=True, slots=True)
class Read:
    """One read: by whom, what was asked of which path, and how many rows it gave."""

    path: str
    asked: Mapping[str, Any]
    by: Principal
    rows: int


async def unseen(_read: Read) -> None:
    """Tell nobody of a read: for tests, and until reads are events themselves."""


async def unwritable(_changes: Sequence[AlertChange]) -> None:
    """Refuse: this service only reads."""
    raise StoreUnavailable("this service was started without the right to change alerts")


@dataclass(frozen=True, slots=True)
class Ports:
    """Calls into other parts. Each raises `Unavailable` where what it needs is away.

    `saw` is awaited before a read is answered, so that no parameter of a request can skip it.
    `change` writes what was done with alerts; `publish` publishes the audit event of it before.
    Without `publish` a change is made all the same, and its answer says that it left no event.
    """

    ledger: Callable[[], Awaitable[Ledger]]
    replay: Callable[[ReplayAsked], Awaitable[ReplayDone]]
    probes: Sequence[Probe] = field(default=())
    saw: Callable[[Read], Awaitable[None]] = unseen
    publish: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None
    change: Callable[[Sequence[AlertChange]], Awaitable[None]] = unwritable
    targets: Sequence[str] = ()
