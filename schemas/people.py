"""What the REST API tells and takes of people: accounts, tokens, sessions. Never a secret twice."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.views import View

Role = Literal["viewer", "analyst", "auditor", "administrator"]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Tenant = Annotated[str, Field(max_length=64)]


class Asking(BaseModel):
    """The root of all bodies: closed, so that a misspelt field is no silent wish."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AccountOut(View):
    """One account. `tenant` null reaches all; `provider` says that it logs in elsewhere."""

    name: str
    display: str
    roles: tuple[Role, ...]
    tenant: str | None
    disabled: bool
    provider: bool
    has_password: bool
    must_change_password: bool
    created: str
    created_by: str
    last_login: str | None


class AccountList(View):
    """All accounts, by name."""

    accounts: tuple[AccountOut, ...]


class AccountAsked(Asking):
    """An account to be made."""

    name: Name
    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=4)]
    display: Annotated[str, Field(max_length=128)] = ""
    tenant: Tenant | None = None


class AccountChange(Asking):
    """What is to change of an account; what is left out stays. `tenant` "" is all tenants."""

    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=4)] | None = None
    display: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    tenant: Tenant | None = None
    disabled: Annotated[bool, Field(strict=True)] | None = None


class LinkAsked(Asking):
    """For whom a one-time login link is to be made: by default the owner of the service."""

    name: Name = "owner"


class LinkMade(View):
    """A one-time login link: whoever opens it first and confirms is logged in as `name`."""

    name: str
    link: str
    expires: str


class AccountMade(View):
    """An account with the link by which its owner logs in and sets a password; null to a token."""

    account: AccountOut
    login: LinkMade | None


class TokenOut(View):
    """One token, without its secret. `scope` null: all that its roles grant."""

    key: str
    name: str
    owner: str
    roles: tuple[Role, ...]
    scope: tuple[str, ...] | None
    tenant: str | None
    state: Literal["active", "expired", "revoked"]
    created: str
    expires: str
    last_used: str | None
    last_client: str | None


class TokenList(View):
    """The tokens that one may see, newest first."""

    tokens: tuple[TokenOut, ...]


class TokenAsked(Asking):
    """A token to be made; without roles and scope it may all that its owner may."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    days: Annotated[int, Field(strict=True, ge=1, le=365)] = 90
    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=4)] | None = None
    scope: Annotated[tuple[str, ...], Field(max_length=32)] = ()
    tenant: Tenant | None = None


class TokenMade(View):
    """A new token with its secret, which is shown this once."""

    token: TokenOut
    secret: str


class SessionOut(View):
    """One login that goes on; `how` is password, link or provider."""

    key: str
    account: str
    how: str
    created: str
    last_seen: str
    client: str
    user_agent: str


class SessionList(View):
    """The sessions that one may see, latest first."""

    sessions: tuple[SessionOut, ...]


class MeOut(View):
    """Who one is, by the credential that asked."""

    name: str
    kind: Literal["service", "session", "token"]
    roles: tuple[Role, ...]
    tenant: str | None
    permissions: tuple[str, ...]
