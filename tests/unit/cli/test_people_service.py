"""From settings to how people come in; what is wrong is named before anything starts."""

from pathlib import Path

import pytest

from cli.people_service import front_of, provider_of
from runtime.configuration import check, gather, load
from runtime.settings import ApiSettings, OidcSettings
from schemas.errors import Misconfigured

OIDC = {
    "AUDIT_OIDC_ISSUER": "https://id.example/realms/main",
    "AUDIT_OIDC_CLIENT_ID": "audit",
    "AUDIT_OIDC_ROLES": "soc=analyst, audit=auditor+viewer",
}


def oidc(**given: str) -> OidcSettings:
    return load(OidcSettings, gather(OIDC | given))


async def test_without_an_issuer_there_is_no_provider() -> None:
    assert provider_of(OidcSettings()) is None
    provider = provider_of(oidc(AUDIT_OIDC_NAME="Example"))
    assert provider is not None
    assert provider.name == "Example"
    assert provider.terms.worth.roles["audit"] == {"auditor", "viewer"}
    assert not provider.terms.worth.trusts_email
    await provider.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUDIT_OIDC_ISSUER", "http://id.example"),
        ("AUDIT_OIDC_ISSUER", "ftp://id.example"),
        ("AUDIT_OIDC_CLIENT_ID", ""),
        ("AUDIT_OIDC_ROLES", ""),
        ("AUDIT_OIDC_ROLES", "soc=root"),
        ("AUDIT_OIDC_TENANTS", "soc"),
        ("AUDIT_OIDC_SCOPES", "profile"),
        ("AUDIT_OIDC_SKEW_S", "3600"),
    ],
)
def test_what_can_not_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match="AUDIT_OIDC_"):
        provider_of(oidc(**{name: value}))


async def test_the_secret_is_read_from_a_file_of_its_owner_and_shown_nowhere(
    tmp_path: Path,
) -> None:
    path = tmp_path / "secret"
    path.write_text("hush hush hush\nmore\n")
    path.chmod(0o644)
    given = {"AUDIT_OIDC_CLIENT_SECRET_FILE": str(path)}
    with pytest.raises(Misconfigured, match="chmod 600"):
        provider_of(oidc(**given))
    path.chmod(0o600)
    provider = provider_of(oidc(**given))
    assert provider is not None
    assert provider.terms.client_secret.get_secret_value() == "hush hush hush"
    assert "hush" not in repr(provider.terms)
    await provider.close()
    both = gather(OIDC | given | {"AUDIT_OIDC_CLIENT_SECRET": "hush"})
    rows, problems = check([OidcSettings], both)
    assert "exclude each other" in problems[0]
    assert "hush" not in str(rows) + str(problems)
    path.write_text("")
    with pytest.raises(Misconfigured, match="is empty"):
        provider_of(oidc(**given))


def test_the_front_is_what_the_settings_say() -> None:
    given = {
        "AUDIT_API_PUBLIC_URL": "https://audit.example",
        "AUDIT_API_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
    }
    front = front_of(load(ApiSettings, gather(given)))
    assert front.is_secure
    assert front.client("192.0.2.1", ["198.51.100.7"]) == "198.51.100.7"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUDIT_API_TRUSTED_PROXIES", "everybody"),
        ("AUDIT_API_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("AUDIT_API_PUBLIC_URL", "audit.example"),
        ("AUDIT_API_PUBLIC_URL", "https://audit.example/path"),
        ("AUDIT_API_SESSION_HOURS", "0"),
    ],
)
def test_a_front_that_can_not_be_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        load(ApiSettings, gather({name: value}))
