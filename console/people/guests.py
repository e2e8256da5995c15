"""Logins from the provider: whom it vouches for has an account here, with what the groups give."""

import sqlite3
from dataclasses import replace

from console.access import Principal
from console.people import accounts
from console.people.accounts import Account
from console.people.login import Knock, enter, tell_failed
from console.people.mapping import Guest, NotMapped
from console.people.telling import ACCOUNTS, change
from console.web.context import Api


async def admit(api: Api, guest: Guest, knock: Knock) -> str:
    """Return the cookie of a new session of somebody whom the provider vouches for.

    Raises `NotMapped` if the account is disabled here or its name is somebody else's, and
    `WrongLogin` if an administrator was faster.
    """
    by = replace(
        api, principal=Principal(guest.name, guest.roles, guest.tenant, client=knock.client)
    )
    known = await api.state.read(lambda db: accounts.find_subject(db, guest.subject))
    if known is None:
        known = await _take_in(by, guest, knock)
    elif known.disabled:
        await tell_failed(api, known.name, knock, "disabled")
        raise NotMapped("your account here is disabled")
    else:
        known = await _bring_up(by, known, guest)
    return await enter(api, known, "provider", knock)


async def _take_in(api: Api, guest: Guest, knock: Knock) -> Account:
    """Make the account of somebody who comes for the first time."""
    taken = await api.state.read(lambda db: accounts.find(db, guest.name))
    if taken is not None or guest.name.casefold() in accounts.RESERVED:
        await tell_failed(api, accounts.UNKNOWN, knock, "name_taken")
        raise NotMapped(f"an account named {guest.name} is here already, and is not yours")
    made = Account(
        name=guest.name,
        display=guest.display,
        roles=guest.roles,
        tenant=guest.tenant,
        created_ms=api.clock.now_ms(),
        created_by="provider",
        subject=guest.subject,
    )
    await change(
        api,
        "audit.account.created",
        lambda db: accounts.add(db, made),
        resource=ACCOUNTS,
        resource_id=made.name,
        tenant=made.tenant or "",
        details={"target_user": made.name, "roles": sorted(made.roles), "cause": "provider"},
    )
    return made


async def _bring_up(api: Api, known: Account, guest: Guest) -> Account:
    """Give an account what its groups give now; the provider may take the last administrator."""
    after = replace(known, roles=guest.roles, tenant=guest.tenant, display=guest.display)
    if after == known:
        return known

    def put(db: sqlite3.Connection) -> None:
        accounts.put(db, after, may_be_last=True)

    await change(
        api,
        "audit.account.updated",
        put,
        resource=ACCOUNTS,
        resource_id=known.name,
        tenant=after.tenant or "",
        details={"target_user": known.name, "cause": "provider", **accounts.changed(known, after)},
    )
    return after
