"""One's own account: what one may do, one's password, tokens and sessions."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response

from console.access import PERMISSIONS, ROLES
from console.pages.form import Fields, Said
from console.pages.page import Page, action, page, see
from console.people import accounts
from console.people.accounts import require_roles
from console.people.changes import set_password
from console.people.credentials import (
    WantedToken,
    make_token,
    require_scope,
    revoke_session,
    revoke_token,
    sessions_seen_by,
    tokens_seen_by,
)
from console.people.passwords import LENGTH_MAX, LENGTH_MIN
from console.people.rendering import render_me, render_session, render_token
from console.people.tokens import DAYS, DAYS_MAX, NAME_MAX
from console.people.words import ABOUT, RIGHTS
from console.web.context import Api, Asked, saw
from console.web.problems import Refused

routes: Final = APIRouter()
PASSWORD_MAX: Final = 1_024
SAID: Final = {
    "password": "Your password is set; your other sessions have ended.",
    "token": "The token is revoked.",
    "session": "The session is ended.",
}


@page(routes, "/me", "own_account")
async def show_me(api: Asked, asked: Annotated[Said, Query()]) -> Page:
    """Show who one is, and what is one's own."""
    data = await _own(api)
    await saw(api, "/me", {}, 1)
    return Page("me.html", "Your account", data, view=_view(SAID.get(asked.done, "")))


@page(routes, "/me/password", "own_account")
async def show_password(api: Asked) -> Page:
    """Ask for a new password."""
    data = render_me(api.principal)
    await saw(api, "/me/password", {}, 1)
    return Page("me_password.html", "Your password", data, view=_password_view(api, ""))


@action(routes, "/me/password", "own_account")
async def take_password(api: Asked, form: Fields) -> Page | Response:
    """Set one's own password."""
    current = form.raw("current", length_max=PASSWORD_MAX)
    wanted = form.raw("wanted", length_max=PASSWORD_MAX)
    try:
        _require_same(wanted, form.raw("again", length_max=PASSWORD_MAX))
        await set_password(api, current, wanted)
    except Refused as refused:
        if refused.kind not in ("bad_parameter", "too_many"):
            raise
        said = f"{refused.detail[:1].upper()}{refused.detail[1:]}: {refused.cure}."
        status = 429 if refused.kind == "too_many" else 400
        view = _password_view(api, said)
        return Page(
            "me_password.html", "Your password", render_me(api.principal), None, view, status
        )
    return see("/me?done=password")


@action(routes, "/me/tokens", "own_account")
async def take_token(api: Asked, form: Fields) -> Page:
    """Make a token; the page that follows shows its secret, this once."""
    given = form.many("roles")
    days = form.text("days", length_max=4) or str(DAYS)
    wanted = WantedToken(
        name=form.required("name", length_max=NAME_MAX),
        days=int(days) if days.isdecimal() else 0,
        roles=require_roles(given) if given else None,
        scope=require_scope(form.many("scope")),
        tenant=form.text("tenant", length_max=64) or None,
    )
    token, secret = await make_token(api, wanted)
    data = {"token": render_token(token, token.created_ms)}
    return Page("me_token.html", "New token", data, view={"secret": secret})


@action(routes, "/me/tokens/{key}/revoke", "own_account")
async def end_token(api: Asked, form: Fields, key: str) -> Response:
    """Revoke a token."""
    del form
    await revoke_token(api, key)
    return see("/me?done=token")


@action(routes, "/me/sessions/{key}/revoke", "own_account")
async def end_session(api: Asked, form: Fields, key: str) -> Response:
    """End a session, also the one that asks."""
    del form
    await revoke_session(api, key)
    return see("/me?done=session")


def _require_same(wanted: str, again: str) -> None:
    if wanted != again:
        raise Refused("bad_parameter", "the two are not the same", cure="type it twice")


async def _own(api: Api) -> dict[str, Any]:
    now_ms, name = api.clock.now_ms(), api.principal.name
    found = await api.state.read(lambda db: accounts.find(db, name))
    return {
        **render_me(api.principal),
        "provider": found is not None and found.subject is not None,
        "has_password": found is not None and found.password is not None,
        "tokens": [render_token(token, now_ms) for token in await tokens_seen_by(api, is_own=True)],
        "sessions": [
            {**render_session(one), "current": one.key == api.principal.key}
            for one in await sessions_seen_by(api, is_own=True)
        ],
    }


def _view(said: str) -> dict[str, Any]:
    return {
        "said": said,
        "rights": [(one, RIGHTS[one]) for one in PERMISSIONS],
        "about": [(role, ABOUT[role]) for role in ROLES],
        "days": DAYS,
        "days_max": DAYS_MAX,
        "name_max": NAME_MAX,
    }


def _password_view(api: Api, said: str) -> dict[str, Any]:
    return {
        "said": said,
        "must": api.principal.must_change,
        "length_min": LENGTH_MIN,
        "length_max": LENGTH_MAX,
    }
