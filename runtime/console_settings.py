"""The settings of the console: where it listens, how people come in, and who vouches for them."""

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from runtime.settings_base import Port, ServiceSettings


class ApiSettings(ServiceSettings):
    """The REST API and the pages."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_API_")

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback wants TLS in front."""
    port: Port = 6060
    """Port to listen on."""
    token_file: Path | None = None
    """File with the access token, readable by its owner alone; made when it is absent."""
    public_url: Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9._\-\[\]:]{1,255}/?)?$")] = ""
    """What people type to get here, such as `https://audit.example.com`, where a proxy stands in
    front; its host is answered to, and under https cookies go by TLS only."""
    trusted_proxies: Annotated[tuple[str, ...], NoDecode, Field(max_length=64)] = ()
    """Addresses or networks of the proxies in front, separated by commas: their word on who their
    client is (X-Forwarded-For) counts in rate limits and events."""
    session_idle_minutes: Annotated[int, Field(ge=5, le=1_440)] = 480
    """A login of the console ends after so long without a request."""
    session_hours: Annotated[int, Field(ge=1, le=168)] = 24
    """A login of the console ends after so long at all."""
    health_host: str = "127.0.0.1"
    """Address of /live, /ready and /metrics."""
    health_port: Port = 6069
    """Port of /live, /ready and /metrics."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for text in given:
            ipaddress.ip_network(text)  # its ValueError names what is wrong
        return given


class OidcSettings(ServiceSettings):
    """Logging in to the console at a provider of identities, by OpenID Connect."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_OIDC_")

    issuer: Annotated[
        str,
        Field(pattern=r"^(https://\S{1,400}|http://(127\.0\.0\.1|localhost|\[::1\])\S{0,400})?$"),
    ] = ""
    """Address of the provider, exactly as its discovery document names it; empty: off."""
    client_id: Annotated[str, Field(max_length=256)] = ""
    """Who we are there. Redirect address to register: the public address with
    `/login/oidc/callback`."""
    client_secret: SecretStr = SecretStr("")
    """Our secret there; empty for a public client."""
    client_secret_file: Path | None = None
    """File whose first line is our secret there."""
    name: Annotated[str, Field(max_length=64)] = "your organisation"
    """What the button says: "Sign in with …"."""
    scopes: Annotated[str, Field(pattern=r"^openid( [\x21\x23-\x5B\x5D-\x7E]+)*$")] = (
        "openid profile email"
    )
    """What we ask to be told, separated by spaces."""
    name_claim: Annotated[str, Field(pattern=r"^\S{1,128}$")] = "preferred_username"
    """The claim that names the account; where it is missing, email and then sub do."""
    trust_email: bool = False
    """Whether an address of mail may name an account where the provider says nothing of whether it
    is verified (`email_verified`); for providers where people can't set their own."""
    groups_claim: Annotated[str, Field(pattern=r"^\S{1,128}$")] = "groups"
    """The claim that lists the groups; dots lead inwards (`realm_access.roles`)."""
    roles: Annotated[str, Field(max_length=16_384)] = ""
    """Which group has which roles: `soc=analyst, audit=auditor+viewer`; who is in none of them
    does not get in."""
    tenant_claim: Annotated[str, Field(pattern=r"^\S{0,128}$")] = ""
    """The claim that names the tenant; who has none does not get in. Empty: see `tenants`."""
    tenants: Annotated[str, Field(max_length=16_384)] = ""
    """Which group reaches which tenant: `acme-staff=acme, platform=*`, * for all. Empty, and no
    `tenant_claim`: everybody reaches all."""
    skew_s: Annotated[int, Field(ge=0, le=300)] = 60
    """How far the provider's clock may be from ours."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.issuer and not (self.client_id and self.roles):
            raise ValueError("with an issuer, client_id and roles are needed too")
        if self.client_secret.get_secret_value() and self.client_secret_file is not None:
            raise ValueError("client_secret and client_secret_file exclude each other")
        if self.tenant_claim and self.tenants:
            raise ValueError("tenant_claim and tenants exclude each other")
        return self
