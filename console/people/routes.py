"""The REST routes of people: accounts, one-time links, tokens, sessions."""

from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from console.people import accounts
from console.people.accounts import Account
from console.people.changes import Wanted, create_account, edit_account, make_link, reset_password
from console.people.credentials import (
    WantedToken,
    make_token,
    require_scope,
    revoke_session,
    revoke_token,
    sessions_seen_by,
    tokens_seen_by,
)
from console.people.links import LINK_MS
from console.people.rendering import (
    moment,
    render_account,
    render_me,
    render_session,
    render_token,
)
from console.web.context import Api, Asked, json_answer, needs, saw
from schemas.people import (
    AccountAsked,
    AccountChange,
    AccountList,
    AccountMade,
    AccountOut,
    LinkAsked,
    LinkMade,
    MeOut,
    SessionList,
    TokenAsked,
    TokenList,
    TokenMade,
    TokenOut,
)
from schemas.views import Problem

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    403: {"model": Problem, "description": "Not allowed."},
    409: {"model": Problem, "description": "Taken, or not in the state for that."},
}
routes: Final = APIRouter(responses=_PROBLEMS)


@routes.get("/me", response_model=MeOut, dependencies=[needs("own_account")])
async def show_me(api: Asked) -> Response:
    """Say who asks, and what they may do."""
    await saw(api, "/v1/me", {}, 1)
    return json_answer(render_me(api.principal))


@routes.get("/people", response_model=AccountList, dependencies=[needs("read_people")])
async def list_people(api: Asked) -> Response:
    """List the accounts."""
    found = await api.state.read(lambda db: accounts.everyone(db, api.tenant))
    await saw(api, "/v1/people", {}, len(found))
    return json_answer({"accounts": [render_account(account) for account in found]})


@routes.post(
    "/people", response_model=AccountMade, status_code=201, dependencies=[needs("manage_people")]
)
async def add_person(request: Request, api: Asked, asked: AccountAsked) -> Response:
    """Make an account; its owner logs in by the link, which works once, and sets a password.

    To a token no link is given, and it gives no role that it has not.
    """
    wanted = Wanted(asked.name, asked.display, frozenset(asked.roles), asked.tenant)
    account, once = await create_account(api, wanted)
    return _made(request, api, account, once)


@routes.post("/people/login-links", response_model=LinkMade, dependencies=[needs("manage_people")])
async def add_link(request: Request, api: Asked, asked: LinkAsked) -> Response:
    """Make a one-time login link; only with the token of the service's file."""
    once = await make_link(api, asked.name)
    return json_answer(_link(request, api, asked.name, once))


@routes.get("/people/{name}", response_model=AccountOut, dependencies=[needs("read_people")])
async def show_person(api: Asked, name: str) -> Response:
    """Show one account."""
    found = await api.state.read(lambda db: accounts.get(db, name, api.tenant))
    await saw(api, "/v1/people/{name}", {"name": name}, 1)
    return json_answer(render_account(found))


@routes.patch("/people/{name}", response_model=AccountOut, dependencies=[needs("manage_people")])
async def change_person(api: Asked, name: str, asked: AccountChange) -> Response:
    """Change roles, display name or tenant of an account, or disable it; it holds at once."""

    def alter(account: Account) -> Account:
        given: dict[str, Any] = asked.model_dump(exclude_none=True)
        if asked.roles is not None:
            given["roles"] = frozenset(asked.roles)
        if asked.tenant == "":
            given["tenant"] = None
        return replace(account, **given)

    return json_answer(render_account(await edit_account(api, name, alter)))


@routes.post(
    "/people/{name}/reset",
    response_model=AccountMade,
    status_code=201,
    dependencies=[needs("manage_people")],
)
async def reset_person(request: Request, api: Asked, name: str) -> Response:
    """Take an account's password, sessions and tokens; a link, once, sets another password.

    To a token no link is given.
    """
    account, once = await reset_password(api, name)
    return _made(request, api, account, once)


@routes.get("/tokens", response_model=TokenList, dependencies=[needs("own_account")])
async def list_tokens(api: Asked) -> Response:
    """List one's own tokens, or, with the right to read people, all."""
    now_ms, found = api.clock.now_ms(), await tokens_seen_by(api)
    await saw(api, "/v1/tokens", {}, len(found))
    return json_answer({"tokens": [render_token(token, now_ms) for token in found]})


@routes.post(
    "/tokens", response_model=TokenMade, status_code=201, dependencies=[needs("own_account")]
)
async def add_token(api: Asked, asked: TokenAsked) -> Response:
    """Make a token of one's own; its secret is in this answer and nowhere else."""
    wanted = WantedToken(
        name=asked.name,
        days=asked.days,
        roles=None if asked.roles is None else frozenset(asked.roles),
        scope=require_scope(asked.scope),
        tenant=asked.tenant,
    )
    token, secret = await make_token(api, wanted)
    answer = json_answer({"token": render_token(token, token.created_ms), "secret": secret})
    answer.status_code = 201
    return answer


@routes.delete("/tokens/{key}", response_model=TokenOut, dependencies=[needs("own_account")])
async def end_token(api: Asked, key: str) -> Response:
    """Revoke a token; it holds at once."""
    now_ms = api.clock.now_ms()
    token = await revoke_token(api, key)
    ended = replace(token, revoked_ms=token.revoked_ms or now_ms)
    return json_answer(render_token(ended, now_ms))


@routes.get("/sessions", response_model=SessionList, dependencies=[needs("own_account")])
async def list_sessions(api: Asked) -> Response:
    """List one's own sessions, or, with the right to read people, all."""
    found = await sessions_seen_by(api)
    await saw(api, "/v1/sessions", {}, len(found))
    return json_answer({"sessions": [render_session(session) for session in found]})


@routes.delete("/sessions/{key}", status_code=204, dependencies=[needs("own_account")])
async def end_session(api: Asked, key: str) -> Response:
    """Revoke a session; it holds at once."""
    await revoke_session(api, key)
    return Response(status_code=204)


def address_of(request: Request, api: Api, once: str) -> str:
    """Return the address of a login link."""
    return f"{api.front.address(request.headers.get('host', ''))}/login/{once}"


def _link(request: Request, api: Api, name: str, once: str) -> dict[str, Any]:
    expires = moment(api.clock.now_ms() + LINK_MS)
    return {"name": name, "link": address_of(request, api, once), "expires": expires}


def _made(request: Request, api: Api, account: Account, once: str | None) -> Response:
    login = None if once is None else _link(request, api, account.name, once)
    answer = json_answer({"account": render_account(account), "login": login})
    answer.status_code = 201
    return answer
