"""What the API needs of parts that it may not import; the composition root hands it in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from console.access import Principal
from console.alerts.changes import AlertChange
from console.health.doctor import Probe
from console.sql.desk import SqlDesk
from schemas.errors import StoreUnavailable
from schemas.ledger import Ledger
from schemas.rule import RuleView
from schemas.views import ReplayAsked, ReplayDone


@dataclass(frozen=True, slots=True)
class Read:
    """One read: by whom, what was asked of which path, and how many rows it gave.

    `operator` is who the caller claims to be, `agent` the program it calls itself.
    """

    path: str
    asked: Mapping[str, Any]
    by: Principal
    rows: int
    operator: str = ""
    agent: str = ""


async def unseen(_read: Read) -> None:
    """Tell nobody of a read: for tests. The service has console/record/outbox.py."""


async def unrecorded(_event: Mapping[str, Any]) -> None:
    """Tell nobody of a change: for tests."""


def no_rules() -> Sequence[RuleView]:
    """Know no rules: for tests."""
    return ()


async def unwritable(_changes: Sequence[AlertChange]) -> None:
    """Refuse: this service only reads."""
    raise StoreUnavailable("this service was started without the right to change alerts")


@dataclass(frozen=True, slots=True)
class Ports:
    """Calls into other parts. Each raises `Unavailable` where what it needs is away.

    `saw` is awaited before a read is answered, so that no parameter of a request can skip it.
    `can_tell` says whether it could be told of another: what goes on for long asks now and then.
    `record` keeps the audit event of a change (console/record/recording.py makes it) and returns
    once it can't be lost any more; it is published in the background, also after a crash.
    `sql` runs statements of people; without it the SQL page says that it is off.
    `change` writes what was done with alerts, after its audit event was recorded.
    `rules` returns those at work that raise alerts; it may read files, so call it on a thread.
    """

    ledger: Callable[[], Awaitable[Ledger]]
    replay: Callable[[ReplayAsked], Awaitable[ReplayDone]]
    probes: Sequence[Probe] = field(default=())
    saw: Callable[[Read], Awaitable[None]] = unseen
    change: Callable[[Sequence[AlertChange]], Awaitable[None]] = unwritable
    targets: Sequence[str] = ()
    record: Callable[[Mapping[str, Any]], Awaitable[None]] = unrecorded
    sql: SqlDesk | None = None
    rules: Callable[[], Sequence[RuleView]] = no_rules
    can_tell: Callable[[], bool] = lambda: True
