"""How changes of people are made: rehearsed, told as an audit event, then made.

So no change is without its event, and an event that says success is hardly ever wrong: where the
change can't be made after all, another event says so. Secrets are handed out last.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any, Final, TypeVar, Unpack

from console.people.book import People
from console.record import recording
from console.web.context import Api
from console.web.problems import Refused

T = TypeVar("T")
ACCOUNTS: Final = "audit_accounts"
TOKENS: Final = "audit_tokens"
SESSIONS: Final = "audit_sessions"


class _Rehearsed(Exception):
    """Rolls a rehearsal back."""


def people_of(api: Api) -> People:
    """Return what knows people. Raises `Refused` where only the token of the file is known."""
    if not isinstance(api.authenticator, People):
        raise Refused("unavailable", "this service was started without accounts")
    return api.authenticator


async def tell(api: Api, action: str, **told: Unpack[recording.Told]) -> None:
    """Keep an audit event of what the principal does."""
    await api.ports.record(recording.event(api, action, **told))


async def rehearse(api: Api, work: Callable[[sqlite3.Connection], object]) -> None:
    """Make a change and take it back. Raises what `work` raises."""

    def take_back(db: sqlite3.Connection) -> None:
        work(db)
        raise _Rehearsed

    with contextlib.suppress(_Rehearsed):
        await api.state.write(take_back)


async def change(
    api: Api,
    action: str,
    work: Callable[[sqlite3.Connection], T],
    **told: Unpack[recording.Told],
) -> T:
    """Make a change in one transaction, and its event before it. Raises what `work` raises."""
    await rehearse(api, work)
    await tell(api, action, **told)
    try:
        return await api.state.write(work)
    except Refused as refused:
        failed: dict[str, Any] = {**told, "result": "failure", "reason": refused.detail}
        await api.ports.record(recording.event(api, action, **failed))
        raise
