"""Accounts, tokens and sessions of all, for administrators; auditors look only."""

from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from console.access import ROLES
from console.pages.form import Fields, Said
from console.pages.page import Page, Table, action, page, see
from console.pages.rendering import link
from console.people import accounts
from console.people.accounts import Account, require_roles
from console.people.changes import Wanted, create_account, edit_account, reset_password
from console.people.credentials import (
    revoke_session,
    revoke_token,
    sessions_seen_by,
    tokens_seen_by,
)
from console.people.links import LINK_MS
from console.people.rendering import moment, render_account, render_session, render_token
from console.people.routes import address_of
from console.people.words import ABOUT
from console.web.context import Api, Asked, saw

routes: Final = APIRouter()
COLUMNS: Final = (
    "name",
    "display",
    "roles",
    "tenant",
    "disabled",
    "provider",
    "created",
    "created_by",
    "last_login",
)
SAID: Final = {
    "saved": "Saved; it holds at once.",
    "disabled": "The account is disabled: its sessions have ended, its tokens are revoked.",
    "enabled": "The account is enabled.",
    "token": "The token is revoked.",
    "session": "The session is ended.",
}


@page(routes, "/people", "read_people")
async def list_people(api: Asked, asked: Annotated[Said, Query()]) -> Page:
    """Show all accounts, tokens and sessions."""
    now_ms = api.clock.now_ms()
    everyone = await api.state.read(lambda db: accounts.everyone(db, api.tenant))
    shown = [render_account(account) for account in everyone]
    data = {
        "accounts": shown,
        "tokens": [render_token(token, now_ms) for token in await tokens_seen_by(api)],
        "sessions": [render_session(session) for session in await sessions_seen_by(api)],
    }
    rows = [
        [" ".join(one[name]) if name == "roles" else one[name] for name in COLUMNS] for one in shown
    ]
    await saw(api, "/people", {}, len(shown))
    view = {"said": SAID.get(asked.done, ""), "roles": _roles(), "own_tenant": api.tenant or ""}
    return Page("people.html", "People", data, Table(COLUMNS, rows), view)


@action(routes, "/people", "manage_people")
async def add_person(request: Request, api: Asked, form: Fields) -> Page | Response:
    """Make an account; the page that follows shows its first login link, this once."""
    wanted = Wanted(
        name=form.required("name", length_max=128),
        display=form.text("display", length_max=128),
        roles=require_roles(form.many("roles")),
        tenant=form.text("tenant", length_max=64) or None,
    )
    account, once = await create_account(api, wanted)
    return _link_page(request, api, account, once)


@page(routes, "/people/{name}", "read_people")
async def show_person(api: Asked, name: str, asked: Annotated[Said, Query()]) -> Page:
    """Show one account with its tokens and sessions."""
    now_ms = api.clock.now_ms()
    account = await api.state.read(lambda db: accounts.get(db, name, api.tenant))
    tokens, sessions = await tokens_seen_by(api), await sessions_seen_by(api)
    data = {
        "account": render_account(account),
        "tokens": [render_token(one, now_ms) for one in tokens if one.owner == account.name],
        "sessions": [render_session(one) for one in sessions if one.account == account.name],
    }
    await saw(api, "/people/{name}", {"name": name}, 1)
    view = {"said": SAID.get(asked.done, ""), "roles": _roles()}
    return Page("people_one.html", account.name, data, view=view)


@action(routes, "/people/{name}", "manage_people")
async def save_person(api: Asked, form: Fields, name: str) -> Response:
    """Change display name, roles and tenant."""
    display = form.required("display", length_max=128)
    tenant = form.text("tenant", length_max=64) or None
    given = form.many("roles")

    def alter(account: Account) -> Account:
        if account.subject is not None:  # the provider says the rest
            return replace(account, display=display)
        return replace(account, display=display, roles=require_roles(given), tenant=tenant)

    await edit_account(api, name, alter)
    return _done(name, "saved")


@action(routes, "/people/{name}/disable", "manage_people")
async def disable_person(api: Asked, form: Fields, name: str) -> Response:
    """Disable an account."""
    del form
    await edit_account(api, name, lambda account: replace(account, disabled=True))
    return _done(name, "disabled")


@action(routes, "/people/{name}/enable", "manage_people")
async def enable_person(api: Asked, form: Fields, name: str) -> Response:
    """Enable an account."""
    del form
    await edit_account(api, name, lambda account: replace(account, disabled=False))
    return _done(name, "enabled")


@action(routes, "/people/{name}/reset", "manage_people")
async def reset_person(request: Request, api: Asked, form: Fields, name: str) -> Page | Response:
    """Take password, sessions and tokens; the page that follows shows a login link, this once."""
    del form
    account, once = await reset_password(api, name)
    return _link_page(request, api, account, once)


@action(routes, "/people/tokens/{key}/revoke", "manage_people")
async def end_token(api: Asked, form: Fields, key: str) -> Response:
    """Revoke anybody's token."""
    del form
    await revoke_token(api, key)
    return see("/people?done=token")


@action(routes, "/people/sessions/{key}/revoke", "manage_people")
async def end_session(api: Asked, form: Fields, key: str) -> Response:
    """End anybody's session."""
    del form
    await revoke_session(api, key)
    return see("/people?done=session")


def _link_page(request: Request, api: Api, account: Account, once: str | None) -> Page | Response:
    if once is None:  # a token asked
        return _done(account.name, "saved")
    data = {"account": render_account(account)}
    expires = moment(api.clock.now_ms() + LINK_MS)
    view = {"address": address_of(request, api, once), "expires": expires}
    return Page("people_link.html", f"Login link for {account.name}", data, view=view)


def _done(name: str, done: str) -> Response:
    return see(link(f"/people/{quote(name, safe='')}", done=done))


def _roles() -> list[tuple[str, Any]]:
    return [(role, ABOUT[role]) for role in ROLES]
