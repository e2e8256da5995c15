"""Changes of tokens and sessions: who may make and end which."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from console.access import PERMISSIONS, Permission, Principal, Role
from console.people import accounts, sessions, tokens
from console.people.accounts import Account
from console.people.rendering import moment
from console.people.sessions import Session
from console.people.telling import SESSIONS, TOKENS, change, people_of
from console.people.tokens import DAY_MS, DAYS_MAX, NAME_MAX, Token
from console.web.auth import SERVICE
from console.web.context import Api
from console.web.problems import Refused


@dataclass(frozen=True, slots=True)
class WantedToken:
    """A token to be made; `roles` and `scope` None are all that its owner has."""

    name: str
    days: int
    roles: frozenset[Role] | None = None
    scope: frozenset[Permission] | None = None
    tenant: str | None = None


async def make_token(api: Api, wanted: WantedToken) -> tuple[Token, str]:
    """Make a token of one's own; return it with its secret, which is kept nowhere."""
    by, now_ms = api.principal, api.clock.now_ms()
    if by.kind == "token":
        raise Refused("forbidden", "a token makes no tokens", cure="make it on your own page, /me")
    if not 1 <= wanted.days <= DAYS_MAX:
        raise Refused("bad_parameter", f"a token lasts 1 to {DAYS_MAX} days", field="days")
    if not wanted.name or len(wanted.name) > NAME_MAX or not wanted.name.isprintable():
        raise Refused(
            "bad_parameter",
            "a token needs a name",
            field="name",
            cure=f"say what it is for, in at most {NAME_MAX} characters",
        )
    token = Token(
        key=tokens.new_token_key(),
        name=wanted.name,
        owner=SERVICE if by.kind == "service" else by.name,
        roles=_roles_within(by, wanted.roles),
        scope=wanted.scope,
        tenant=_tenant_within(by, wanted.tenant),
        created_ms=now_ms,
        expires_ms=now_ms + wanted.days * DAY_MS,
    )
    details = {
        "token_id": token.key,
        "token_name": token.name,
        "roles": sorted(token.roles),
        "scope": sorted(token.scope) if token.scope is not None else ["all"],
        "expires_at": moment(token.expires_ms),
    }
    secret = await change(
        api, "audit.token.created", lambda db: tokens.add_token(db, token), **_about(token, details)
    )
    return token, secret


async def revoke_token(api: Api, key: str) -> Token:
    """End a token of one's own, or any, if one manages people. Idempotent."""
    token = await api.state.read(lambda db: tokens.get_token(db, key))
    await _require_mine(api, token.owner, "key", "there is no such token")
    if token.revoked_ms is None:
        await _revoke(api, token)
    return token


async def revoke_all_tokens(api: Api, account: Account) -> None:
    """End all tokens of an account, each with its event, before the account itself is changed."""
    now_ms = api.clock.now_ms()
    for token in await api.state.read(lambda db: tokens.good_tokens(db, account.name, now_ms)):
        await _revoke(api, token)


def require_tokens_ended(db: sqlite3.Connection, account: Account, now_ms: int) -> None:
    """Raise `Refused` if a token was made after the others were revoked: it has no event."""
    if tokens.good_tokens(db, account.name, now_ms):
        raise Refused("changed_meanwhile", "the account has just made a token", cure="do it again")


async def revoke_session(api: Api, key: str) -> None:
    """End a session of one's own, or any, if one manages people."""
    people = people_of(api)
    now_ms = api.clock.now_ms()
    going = await api.state.read(lambda db: sessions.list_sessions(db, now_ms, people.lives))
    found = next((one for one in going if one.key == key), None)
    if found is None:
        raise Refused("not_found", "there is no such session", field="key")
    await _require_mine(api, found.account, "key", "there is no such session")
    told: dict[str, Any] = {
        "resource": SESSIONS,
        "resource_id": key,
        "details": {"target_user": found.account, "cause": "revoked"},
    }
    await change(api, "audit.session.revoked", lambda db: sessions.end_session(db, key), **told)


async def tokens_seen_by(api: Api, *, is_own: bool = False) -> list[Token]:
    """Return the tokens that the principal may see: one's own, or all of one's tenant."""
    found = await api.state.read(tokens.list_tokens)
    names = _own_names(api) if is_own else await _visible_names(api)
    return [token for token in found if names is None or token.owner in names]


async def sessions_seen_by(api: Api, *, is_own: bool = False) -> list[Session]:
    """Return the sessions that the principal may see: one's own, or all of one's tenant."""
    people, now_ms = people_of(api), api.clock.now_ms()
    found = await api.state.read(lambda db: sessions.list_sessions(db, now_ms, people.lives))
    names = _own_names(api) if is_own else await _visible_names(api)
    return [session for session in found if names is None or session.account in names]


async def _revoke(api: Api, token: Token) -> None:
    now_ms = api.clock.now_ms()
    details = {"token_id": token.key, "token_name": token.name, "target_user": token.owner}

    def revoke(db: sqlite3.Connection) -> None:
        tokens.revoke_token(db, token.key, now_ms)

    await change(api, "audit.token.revoked", revoke, **_about(token, details))


def _own_names(api: Api) -> frozenset[str]:
    by = api.principal
    return frozenset({SERVICE if by.kind == "service" else by.name})


async def _visible_names(api: Api) -> frozenset[str] | None:
    """Return whose tokens and sessions the principal may see; None: everybody's."""
    by, own = api.principal, _own_names(api)
    if not by.may("read_people"):
        return own
    if by.tenant is None:
        return None
    known = await api.state.read(lambda db: accounts.everyone(db, by.tenant))
    return own | {account.name for account in known}


async def _require_mine(api: Api, owner: str, field: str, said: str) -> None:
    """Raise `Refused`, as if there were none, unless it is one's own or one manages its owner."""
    by = api.principal
    if owner in _own_names(api):
        return
    names = await _visible_names(api)
    if names is not None and owner not in names:
        raise Refused("not_found", said, field=field)
    by.require("manage_people")


def _roles_within(by: Principal, wanted: frozenset[Role] | None) -> frozenset[Role]:
    roles = by.roles if wanted is None else wanted
    if not roles <= by.roles:
        raise Refused(
            "forbidden",
            "a token has no role that its owner has not",
            field="roles",
            cure=f"give some of {', '.join(sorted(by.roles))}",
        )
    return roles


def _tenant_within(by: Principal, wanted: str | None) -> str | None:
    tenant = accounts.require_tenant(wanted)
    if by.tenant is not None and tenant not in (None, by.tenant):
        raise Refused("forbidden_tenant", "a token reaches no other tenant than its owner")
    return by.tenant or tenant


def require_scope(given: Sequence[str]) -> frozenset[Permission] | None:
    """Return the permissions named; none named: all. Raises `Refused` for what is none."""
    if not given:
        return None
    found = frozenset(permission for permission in PERMISSIONS if permission in given)
    if len(found) != len(set(given)):
        raise Refused(
            "bad_parameter",
            "the scope names no permissions of ours",
            field="scope",
            cure=f"give some of {', '.join(PERMISSIONS)}",
        )
    return found


def _about(token: Token, details: dict[str, Any]) -> dict[str, Any]:
    return {
        "resource": TOKENS,
        "resource_id": token.key,
        "tenant": token.tenant or "",
        "details": details,
    }
