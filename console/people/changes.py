"""Changes of accounts: who may make which, and what ends with them."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from console.access import Principal, Role
from console.people import accounts, links, sessions
from console.people.accounts import Account
from console.people.credentials import require_tokens_ended, revoke_all_tokens
from console.people.links import LINK_MS, Link
from console.people.passwords import require_good
from console.people.telling import ACCOUNTS, change, people_of, rehearse
from console.web.context import Api
from console.web.problems import Refused


@dataclass(frozen=True, slots=True)
class Wanted:
    """An account to be made."""

    name: str
    display: str
    roles: frozenset[Role]
    tenant: str | None


async def create_account(api: Api, wanted: Wanted) -> tuple[Account, str | None]:
    """Make an account; return it with the secret of its first login link.

    A token gets no link, for a session would outlast it and be wider than its scope.
    """
    now_ms = api.clock.now_ms()
    _require_own(api.principal, wanted.roles)
    made = Account(
        name=accounts.require_name(wanted.name),
        display=wanted.display[: accounts.DISPLAY_MAX] or wanted.name,
        roles=wanted.roles,
        tenant=_within(api, wanted.tenant),
        created_ms=now_ms,
        created_by=api.principal.name,
        must_change=True,
    )

    def make(db: sqlite3.Connection) -> str | None:
        accounts.add(db, made)
        return _link(db, made.name, api) if _gets_links(api.principal) else None

    details = {"roles": sorted(made.roles), "tenant_of_account": made.tenant}
    once = await change(api, "audit.account.created", make, **_about(made, details))
    return made, once


async def edit_account(api: Api, name: str, alter: Callable[[Account], Account]) -> Account:
    """Change display name, roles, tenant, or whether it is disabled; it holds at once."""
    before = await api.state.read(lambda db: accounts.get(db, name, api.tenant))
    after = alter(before)
    if after.tenant != before.tenant:
        after = replace(after, tenant=_within(api, after.tenant))
    if after == before:
        return before
    _require_may(api.principal, before, after)
    _require_own(api.principal, after.roles - before.roles)
    is_end = after.disabled and not before.disabled

    def put(db: sqlite3.Connection) -> None:
        if accounts.get(db, name, api.tenant) != before:
            raise Refused("wrong_state", "somebody else has just changed this account")
        accounts.put(db, after)
        if after.disabled:
            sessions.end_all(db, before.name)
            links.drop_links(db, before.name)

    def put_last(db: sqlite3.Connection) -> None:
        if is_end:
            require_tokens_ended(db, before, api.clock.now_ms())
        put(db)

    if is_end:
        await rehearse(api, put)  # what is refused costs no token
        await revoke_all_tokens(api, before)
    action = "audit.account.disabled" if is_end else "audit.account.updated"
    await change(api, action, put_last, **_about(before, accounts.changed(before, after)))
    return after


async def reset_password(api: Api, name: str) -> tuple[Account, str | None]:
    """Take password, sessions and tokens from an account; return it with a login link's secret.

    Tokens too: whoever had the password may have made some. A token that resets gets no link.
    """
    before = await api.state.read(lambda db: accounts.get(db, name, api.tenant))
    _require_local(before)
    if before.disabled:
        raise Refused("wrong_state", "the account is disabled", cure="enable it first")
    if before.name == accounts.OWNER and not _is_master(api.principal, before):
        raise Refused(
            "forbidden",
            "the owner's password is reset by nobody else",
            cure="run `audit login-link` where the service runs",
        )

    await revoke_all_tokens(api, before)
    is_linked = _gets_links(api.principal)

    def reset(db: sqlite3.Connection) -> str | None:
        found = accounts.get(db, name, api.tenant)
        require_tokens_ended(db, found, api.clock.now_ms())
        accounts.put(db, replace(found, password=None, must_change=True))
        sessions.end_all(db, found.name)
        links.drop_links(db, found.name)
        return _link(db, found.name, api) if is_linked else None

    details = {"password": "reset", "login_link": "made" if is_linked else "none"}
    once = await change(api, "audit.account.updated", reset, **_about(before, details))
    return before, once


async def make_link(api: Api, name: str = accounts.OWNER) -> str:
    """Return the secret of a login link for an account, by default the owner's.

    Only for who holds the token of the file: to all others it would be a way to be someone else
    that leaves no mark on the account.
    """
    if api.principal.kind != "service":
        raise Refused(
            "forbidden",
            "a login link is made with the token of the service's file",
            cure="reset the account's password, which gives a link too",
        )
    found = await api.state.read(lambda db: accounts.find(db, name))
    if found is None and name != accounts.OWNER:
        raise Refused("not_found", "there is no such account", field="name")
    if found is not None and found.disabled:
        raise Refused("wrong_state", "the account is disabled", cure="enable it first")
    told: dict[str, Any] = {
        "resource": ACCOUNTS,
        "resource_id": name,
        "details": {"target_user": name, "login_link": "made"},
    }
    return await change(api, "audit.account.updated", lambda db: _link(db, name, api), **told)


async def set_password(api: Api, current: str, wanted: str) -> None:
    """Set one's own password; other sessions of one's own end."""
    people, name = people_of(api), api.principal.name
    tried = name.casefold()  # as a login counts it
    if api.principal.kind != "session":
        raise Refused("forbidden", "a password is set by its owner, logged in")
    before = await api.state.read(lambda db: accounts.get(db, name))
    _require_local(before)
    if before.password is not None and not before.must_change:
        wait = people.limit.wait_s(tried, api.principal.client, api.clock.monotonic())
        if wait > 0:
            raise Refused("too_many", "that was tried too often", cure=f"wait {wait:.0f} s")
        if not await people.passwords.verify(before.password, current):
            raise Refused("bad_parameter", "that is not your password", field="current")
        people.limit.succeeded(tried, api.principal.client, api.clock.monotonic())
    require_good(wanted, name)
    kept = await people.passwords.hash(wanted)

    def put(db: sqlite3.Connection) -> None:
        found = accounts.get(db, name)
        accounts.put(db, replace(found, password=kept, must_change=False))
        sessions.end_all(db, name, but=api.principal.key)
        links.drop_links(db, name)

    await change(api, "audit.account.updated", put, **_about(before, {"password": "set"}))


def _gets_links(by: Principal) -> bool:
    """Say whether a login link may be shown: not to a token, which it would outlive."""
    return by.kind != "token"


def _require_own(by: Principal, given: frozenset[Role]) -> None:
    """Raise `Refused` where a token gives a role that it, or its owner by now, has not."""
    if by.kind == "token" and not given <= by.roles:
        raise Refused(
            "forbidden",
            "a token gives no role that it has not",
            field="roles",
            cure="do it logged in, or with the service's token",
        )


def _link(db: sqlite3.Connection, name: str, api: Api) -> str:
    now_ms = api.clock.now_ms()
    return links.add_link(db, Link(name, api.principal.name, now_ms + LINK_MS), now_ms)


def _within(api: Api, tenant: str | None) -> str | None:
    """Return the tenant of an account that is made or changed: never beyond one's own."""
    wanted = accounts.require_tenant(tenant)
    if api.tenant is None:
        return wanted
    if wanted not in (None, api.tenant):
        raise Refused("forbidden_tenant", "accounts of another tenant are not yours to make")
    return api.tenant


def _require_may(by: Principal, before: Account, after: Account) -> None:
    """Raise `Refused` for what an administrator may not do to this account."""
    is_rights = (before.roles, before.tenant, before.disabled) != (
        after.roles,
        after.tenant,
        after.disabled,
    )
    if is_rights and by.kind != "service" and by.name == before.name:
        raise Refused(
            "forbidden", "nobody changes their own rights", cure="ask another administrator"
        )
    if before.subject is not None and before.roles != after.roles:
        raise Refused(
            "wrong_state",
            "the roles of this account come from the provider's groups",
            field="roles",
            cure="change its groups there, or disable it here",
        )


def _require_local(account: Account) -> None:
    if account.subject is not None:
        raise Refused(
            "wrong_state",
            "this account logs in at the provider",
            cure="change the password there",
        )


def _is_master(by: Principal, account: Account) -> bool:
    return by.kind == "service" or by.name == account.name


def _about(account: Account, details: dict[str, Any]) -> dict[str, Any]:
    """Return what the event of a change of an account says of it."""
    return {
        "resource": ACCOUNTS,
        "resource_id": account.name,
        "tenant": account.tenant or "",
        "details": {"target_user": account.name, **details},
    }
