"""Who asks: the token of the file, tokens, and sessions, looked up anew with every request.

Nothing is remembered between requests, so that what an administrator changes holds at once.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final

from console.access import Principal
from console.people import sessions, tokens
from console.people.accounts import Account
from console.people.limit import LoginLimit
from console.people.passwords import Passwords
from console.people.provider import Provider
from console.people.secret import SECRET_CHARS, derived
from console.people.sessions import Lifetimes, Session
from console.people.tokens import Token
from console.state import State
from console.web.auth import SERVICE, ServiceToken
from console.web.metrics import ConsoleMetrics
from runtime.clock import Clock

CSRF: Final = "csrf"


@dataclass(frozen=True, slots=True)
class People:
    """The console's `Authenticator`, with what logins need. `provider` None: passwords only."""

    service: ServiceToken
    state: State
    clock: Clock
    lives: Lifetimes = field(default_factory=Lifetimes)
    provider: Provider | None = None
    metrics: ConsoleMetrics = field(default_factory=ConsoleMetrics)
    limit: LoginLimit = field(default_factory=LoginLimit)
    passwords: Passwords = field(default_factory=Passwords)
    # of two who come at once with one link only one is told of as logged in
    redeeming: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def by_token(self, token: str, client: str) -> Principal | None:
        """As `Authenticator` promises."""
        service = await self.service.by_token(token, client)
        if service is not None or not tokens.looks_like_token(token):
            return service
        now_ms = self.clock.now_ms()
        found = await self.state.read(lambda db: tokens.find_token(db, token, now_ms))
        if found is None:
            return None
        kept, owner = found
        principal = principal_of_token(kept, owner, self.service.tenant)
        if principal is not None and now_ms - (kept.used_ms or 0) >= tokens.USED_EVERY_MS:
            await self.state.write(lambda db: tokens.note_used(db, kept.key, client, now_ms))
        return principal and replace(principal, client=client)

    async def by_session(self, cookie: str, client: str) -> Principal | None:
        """As `Authenticator` promises."""
        if len(cookie) != SECRET_CHARS:
            return None
        now_ms = self.clock.now_ms()
        found = await self.state.read(
            lambda db: sessions.find_session(db, cookie, now_ms, self.lives)
        )
        if found is None:
            return None
        session, account = found
        if now_ms - session.seen_ms >= sessions.SEEN_EVERY_MS:
            await self.state.write(lambda db: sessions.note_seen(db, session.key, client, now_ms))
        return replace(principal_of_session(session, account), csrf=csrf_of(cookie), client=client)

    async def close(self) -> None:
        """End the threads of the passwords, and the connections to the provider."""
        self.passwords.close()
        if self.provider is not None:
            await self.provider.close()


def csrf_of(cookie: str) -> str:
    """Return the secret that forms of a session carry: made of its cookie, so kept nowhere."""
    return derived(cookie, CSRF)


def principal_of_session(session: Session, account: Account) -> Principal:
    """Return who a session stands for."""
    return Principal(
        name=account.name,
        roles=account.roles,
        tenant=account.tenant,
        kind="session",
        key=session.key,
        client=session.client,
        must_change=account.must_change,
    )


def principal_of_token(token: Token, owner: Account | None, whole: str | None) -> Principal | None:
    """Return who a token stands for: never more than its owner is now; None if nobody any more.

    `whole` is the tenant of the service itself, None for all.
    """
    roles, tenant, name = token.roles, whole, f"token:{token.name}"
    if token.owner != SERVICE:
        if owner is None or owner.disabled or owner.must_change:
            return None
        roles, tenant, name = token.roles & owner.roles, owner.tenant, owner.name
    if not roles or (tenant is not None and token.tenant not in (None, tenant)):
        return None
    return Principal(
        name=name,
        roles=roles,
        tenant=tenant or token.tenant,
        kind="token",
        key=token.key,
        scope=token.scope,
    )
