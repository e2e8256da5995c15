"""Accounts, tokens and sessions as the answers show them: without secrets and hashes. Pure."""

from typing import Any

from console.access import PERMISSIONS, ROLES, Principal
from console.people.accounts import Account
from console.people.sessions import Session
from console.people.tokens import Token
from console.search.moment import rfc3339


def moment(at_ms: int | None) -> str | None:
    """Return a moment as RFC 3339, None for none."""
    return None if at_ms is None else rfc3339(at_ms // 1000 * 1_000_000)


def render_account(account: Account) -> dict[str, Any]:
    """Return an `AccountOut`."""
    return {
        "name": account.name,
        "display": account.display,
        "roles": [role for role in ROLES if role in account.roles],
        "tenant": account.tenant,
        "disabled": account.disabled,
        "provider": account.subject is not None,
        "has_password": account.password is not None,
        "must_change_password": account.must_change,
        "created": moment(account.created_ms),
        "created_by": account.created_by,
        "last_login": moment(account.last_login_ms),
    }


def render_token(token: Token, now_ms: int) -> dict[str, Any]:
    """Return a `TokenOut`."""
    if token.revoked_ms is not None:
        state = "revoked"
    else:
        state = "active" if token.is_good(now_ms) else "expired"
    return {
        "key": token.key,
        "name": token.name,
        "owner": token.owner,
        "roles": [role for role in ROLES if role in token.roles],
        "scope": None if token.scope is None else [p for p in PERMISSIONS if p in token.scope],
        "tenant": token.tenant,
        "state": state,
        "created": moment(token.created_ms),
        "expires": moment(token.expires_ms),
        "last_used": moment(token.used_ms),
        "last_client": token.used_client or None,
    }


def render_session(session: Session) -> dict[str, Any]:
    """Return a `SessionOut`."""
    return {
        "key": session.key,
        "account": session.account,
        "how": session.how,
        "created": moment(session.created_ms),
        "last_seen": moment(session.seen_ms),
        "client": session.client,
        "user_agent": session.agent,
    }


def render_me(principal: Principal) -> dict[str, Any]:
    """Return a `MeOut`."""
    return {
        "name": principal.name,
        "kind": principal.kind,
        "roles": [role for role in ROLES if role in principal.roles],
        "tenant": principal.tenant,
        "permissions": [one for one in PERMISSIONS if principal.may(one)],
    }
