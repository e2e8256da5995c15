"""How people reach the console, from the settings: its front, their sessions, their provider."""

import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from console.people.mapping import Worth, read_roles_map, read_tenants_map
from console.people.provider import Provider, ProviderTerms
from console.people.sessions import Lifetimes
from console.web.auth import require_private
from console.web.front import Front
from console.web.metrics import ConsoleMetrics
from console.web.service import ApiService
from runtime.clock import SystemClock
from runtime.configuration import Given, load
from runtime.health import Readiness
from runtime.settings import ApiSettings, OidcSettings
from schemas.errors import Misconfigured

LISTENS: Final = "the API listens"
SECRET_BYTES_MAX: Final = 1_024
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS


def with_people(
    service: ApiService, given: Given, registry: CollectorRegistry, readiness: Readiness
) -> ApiService:
    """Return the service with where it listens and who may come in. Raises `Misconfigured`."""
    settings = load(ApiSettings, given)
    idle_ms = settings.session_idle_minutes * MINUTE_MS
    return replace(
        service,
        host=settings.host,
        port=settings.port,
        front=front_of(settings),
        lives=Lifetimes(idle_ms, settings.session_hours * HOUR_MS),
        provider=provider_of(load(OidcSettings, given)),
        metrics=ConsoleMetrics(registry),
        told=lambda _url: readiness.meet(LISTENS),
    )


def front_of(settings: ApiSettings) -> Front:
    """Return how browsers come: under which address, through which proxies."""
    networks = [ipaddress.ip_network(text) for text in settings.trusted_proxies]
    return Front(settings.public_url, networks)


def provider_of(settings: OidcSettings) -> Provider | None:
    """Return the provider of identities, None if there is none. Raises `Misconfigured`."""
    worth = Worth(
        roles=read_roles_map(settings.roles, settings.variable("roles")),
        tenants=read_tenants_map(settings.tenants, settings.variable("tenants")),
        name_claim=settings.name_claim,
        groups_claim=settings.groups_claim,
        tenant_claim=settings.tenant_claim,
        trusts_email=settings.trust_email,
    )
    if not settings.issuer:
        return None
    secret = settings.client_secret
    if settings.client_secret_file is not None:
        secret = _secret(settings.client_secret_file)
    terms = ProviderTerms(
        issuer=settings.issuer,
        client_id=settings.client_id,
        client_secret=secret,
        worth=worth,
        name=settings.name,
        scopes=settings.scopes,
        skew_s=settings.skew_s,
    )
    return Provider(terms, SystemClock())


def _secret(path: Path) -> SecretStr:
    """Return the first line of a file that only its owner can read."""
    try:
        with path.open(encoding="utf-8") as file:
            mode = path.stat().st_mode
            line = file.read(SECRET_BYTES_MAX).partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: the secret can't be read") from error
    require_private(path, mode)
    if not line:
        raise Misconfigured(f"{path} is empty: its first line is the client's secret")
    return SecretStr(line)
