"""Logins: by password, by one-time link, or from the provider; each ends in a new session."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from console.access import ROLES, Principal
from console.alerts.changes import SOURCE
from console.people import accounts, links, sessions
from console.people.accounts import OWNER, UNKNOWN, Account
from console.people.book import People, principal_of_session
from console.people.secret import digest
from console.people.sessions import Arrival, Session
from console.people.telling import ACCOUNTS, change, people_of, tell
from console.web.context import Api
from console.web.problems import Refused

SUCCESS: Final = "authentication.login.success"
FAILED: Final = "authentication.login.failed"
NAME_MAX: Final = 128
How = Literal["password", "link", "provider"]


@dataclass(frozen=True, slots=True)
class Knock:
    """Who stands at the door: from where, with which program, and the cookie brought along."""

    client: str
    agent: str
    cookie: str = ""


class _Late(Exception):
    """What let somebody in was true a moment ago, and is no longer."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How somebody comes in; `take` says, within the change, whether they still may."""

    how: How
    take: Callable[[sqlite3.Connection], bool]
    late: str


class WrongLogin(Exception):
    """Name or password is wrong, or the account is disabled: which one is nobody's business."""


async def log_in(api: Api, name: str, password: str, knock: Knock) -> str:
    """Return the cookie of a new session. Raises `WrongLogin`, or `Refused` if tried too often.

    What isn't there takes as long as what is, and counts as much.
    """
    people, given = people_of(api), name[:NAME_MAX]
    wait = people.limit.wait_s(given.casefold(), knock.client, api.clock.monotonic())
    if wait > 0:
        people.metrics.login("too_often")
        raise Refused(
            "too_many", "a login was tried too often", cure=f"try again in {int(wait) + 1} s"
        )
    account = await api.state.read(lambda db: accounts.find(db, given))
    kept = account.password if account else None
    is_right = await people.passwords.verify(kept, password)
    if account is None or not is_right or account.disabled or account.subject:
        await _tell_failed(api, account, knock, _why(account, is_right=is_right))
        raise WrongLogin
    if kept is not None and people.passwords.is_outdated(kept):
        account = await _rehash(api, people, account, password)
    cookie = await enter(api, account, "password", knock)
    people.limit.succeeded(given.casefold(), knock.client, api.clock.monotonic())
    return cookie


async def redeem(api: Api, once: str, knock: Knock) -> str:
    """Use a login link: return the cookie of a new session. Raises `WrongLogin` if it is spent."""
    people = people_of(api)
    wait = people.limit.wait_place_s(knock.client, api.clock.monotonic())
    if wait > 0:  # not for fear of guesses: each leaves an event
        people.metrics.login("too_often")
        raise Refused("too_many", "too many logins failed", cure=f"try again in {int(wait) + 1} s")
    async with people.redeeming:
        return await _redeem(api, once, knock)


async def _redeem(api: Api, once: str, knock: Knock) -> str:
    people, now_ms = people_of(api), api.clock.now_ms()
    link = await api.state.read(lambda db: links.find_link(db, once, now_ms))
    account = None
    if link is not None:
        account = await api.state.read(lambda db: accounts.find(db, link.account))
        if account is None and link.account == OWNER:
            account = await _make_owner(api, link.created_by, knock)

    def take(db: sqlite3.Connection) -> bool:
        now = accounts.find(db, account.name) if account else None
        is_open = now is not None and not now.disabled
        return is_open and links.use_link(db, once, now_ms) is not None

    if account is None:
        await _tell_failed(api, None, knock, "link_spent")
        raise WrongLogin
    cookie = await _begin(api, account, _Way("link", take, "link_spent"), knock)
    people.limit.place_succeeded(knock.client, api.clock.monotonic())
    return cookie


async def enter(api: Api, account: Account, how: How, knock: Knock) -> str:
    """Return the cookie of a new session of an account that has proved itself.

    A session that the browser brought along ends: nobody can have planted it to share it.
    """

    def is_same(db: sqlite3.Connection) -> bool:
        now = accounts.find(db, account.name)
        # while the password was verified an administrator may have been faster
        return now is not None and not now.disabled and now.password == account.password

    return await _begin(api, account, _Way(how, is_same, "disabled"), knock)


async def _begin(api: Api, account: Account, way: _Way, knock: Knock) -> str:
    """Begin a session, its event first: what can't be recorded uses nothing up."""
    people = people_of(api)
    arrival = Arrival(knock.client, knock.agent, way.how, api.clock.now_ms())

    def work(db: sqlite3.Connection) -> str:
        if not way.take(db):
            raise _Late
        return _open(db, people, account, arrival, knock)

    by = replace(api, principal=_principal(account, arrival.key, knock))
    try:
        cookie = await change(by, SUCCESS, work, details={"method": way.how})
    except _Late:
        by_link = way.how == "link"
        await _tell_failed(api, None if by_link else account, knock, way.late)
        raise WrongLogin from None
    people.metrics.login("success")
    return cookie


async def log_out(api: Api) -> None:
    """End the session of the principal."""
    key = api.principal.key
    await tell(api, "authentication.logout")
    await api.state.write(lambda db: sessions.end_session(db, key))


async def tell_failed(api: Api, name: str, knock: Knock, reason: str) -> None:
    """Keep the event of a login that failed, at the provider or here."""
    by = replace(api, principal=Principal(name, frozenset(), client=knock.client))
    await tell(by, FAILED, result="failure", reason=reason, details={"reason": reason})


async def _tell_failed(api: Api, account: Account | None, knock: Knock, reason: str) -> None:
    people_of(api).metrics.login("failed")
    await tell_failed(api, account.name if account else UNKNOWN, knock, reason)


def _principal(account: Account, key: str, knock: Knock) -> Principal:
    session = Session(key, account.name, "", 0, 0, knock.client, knock.agent)
    return principal_of_session(session, account)


def _open(
    db: sqlite3.Connection, people: People, account: Account, arrival: Arrival, knock: Knock
) -> str:
    sessions.sweep(db, arrival.now_ms, people.lives)
    if knock.cookie:
        db.execute("DELETE FROM sessions WHERE hash = ?", (digest(knock.cookie),))
    return sessions.open_session(db, account.name, arrival)


async def _make_owner(api: Api, created_by: str, knock: Knock) -> Account:
    """Make the account of whoever can read the token of the file."""
    tenant = people_of(api).service.tenant
    made = Account(OWNER, "Owner", frozenset(ROLES), tenant, api.clock.now_ms(), created_by)
    # by the service: nobody who is here gives themselves a role
    by = replace(api, principal=Principal(SOURCE, frozenset(), tenant, client=knock.client))
    details = {"target_user": made.name, "all_roles": True, "first_start": True}
    about: dict[str, Any] = {"resource": ACCOUNTS, "resource_id": OWNER, "details": details}
    await change(by, "audit.account.created", lambda db: accounts.add(db, made), **about)
    return made


async def _rehash(api: Api, people: People, account: Account, password: str) -> Account:
    """Keep a password with what we ask for now."""
    kept = await people.passwords.hash(password)

    def put(db: sqlite3.Connection) -> Account:
        found = accounts.find(db, account.name)
        if found is None or found.password != account.password:
            return account
        after = replace(found, password=kept)
        accounts.put(db, after)
        return after

    return await api.state.write(put)


def _why(account: Account | None, *, is_right: bool) -> str:
    if account is None:
        return "unknown_account"
    if account.subject:
        return "logs_in_at_provider"
    if account.disabled:
        return "disabled"
    if account.password is None:
        return "no_password"
    return "wrong_password" if not is_right else "disabled"
