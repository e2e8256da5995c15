"""What groups at the provider are worth."""

from typing import Any

import pytest

from console.people.mapping import (
    GROUPS_MAX,
    NotMapped,
    Worth,
    groups_of,
    guest_of,
    read_roles_map,
    read_tenants_map,
)
from schemas.errors import Misconfigured

ROLES = read_roles_map("soc=analyst, cn=x=auditor+viewer", "AUDIT_OIDC_ROLES")
CLAIMS = {"iss": "https://id", "sub": "1", "preferred_username": "jane", "groups": ["soc"]}


def guest(worth: Worth | None = None, **claims: Any) -> Any:
    return guest_of(CLAIMS | claims, worth or Worth(ROLES))


def test_roles_of_all_groups_add_up() -> None:
    assert dict(ROLES) == {"soc": {"analyst"}, "cn=x": {"auditor", "viewer"}}
    assert guest(groups=["soc", "cn=x", "other"]).roles == {"analyst", "auditor", "viewer"}
    assert guest(groups="soc").roles == {"analyst"}
    assert guest().subject == "https://id 1"


@pytest.mark.parametrize("text", ["soc", "soc=", "=analyst", "soc=root", "soc=analyst+", "a=b=c"])
def test_a_mapping_that_means_nothing_is_refused_by_name(text: str) -> None:
    with pytest.raises(Misconfigured, match="AUDIT_OIDC_ROLES"):
        read_roles_map(text, "AUDIT_OIDC_ROLES")


@pytest.mark.parametrize("groups", [None, [], ["lunch"], {"soc": 1}, 7, [["soc"]], ["x" * 513]])
def test_whoever_has_no_role_stays_out(groups: Any) -> None:
    with pytest.raises(NotMapped, match="none of your groups"):
        guest(groups=groups)


def test_groups_lie_within_other_claims() -> None:
    claims = {"realm_access": {"roles": ["soc"]}, "https://a.b/groups": ["x"], "n": None}
    assert groups_of(claims, "realm_access.roles") == ["soc"]
    assert groups_of(claims, "https://a.b/groups") == ["x"]
    assert groups_of(claims, "n.x") == []
    assert groups_of({"realm_access": "x"}, "realm_access.roles") == []
    assert len(groups_of({"g": ["x"] * 10_000}, "g")) == GROUPS_MAX


def test_the_name_is_that_of_the_claim_then_mail_then_subject() -> None:
    assert guest().name == "jane"
    verified = {"email": "j@x.org", "email_verified": True}
    assert guest(preferred_username=None, **verified).name == "j@x.org"
    assert guest(preferred_username=None, email="j@x.org", email_verified=False).name == "1"
    by_mail = Worth(ROLES, name_claim="email")
    assert guest(by_mail, **verified).name == "j@x.org"
    assert guest(by_mail, email="j@x.org", email_verified="false").name == "1"
    for bad in ("a b", "<script>", "ünder", "-x", "x" * 129):
        with pytest.raises(NotMapped, match="no name"):
            guest(preferred_username=bad)


def test_an_address_of_which_nothing_is_said_names_nobody_unless_the_provider_is_trusted() -> None:
    by_mail = Worth(ROLES, name_claim="email")
    assert guest(by_mail, email="ceo@company.com").name == "1"
    assert guest(preferred_username=None, email="ceo@company.com").name == "1"
    trusting = Worth(ROLES, name_claim="email", trusts_email=True)
    assert guest(trusting, email="ceo@company.com").name == "ceo@company.com"
    assert guest(trusting, email="ceo@company.com", email_verified=False).name == "1"


def test_a_tenant_comes_from_a_claim_or_the_groups() -> None:
    assert guest().tenant is None
    by_claim = Worth(ROLES, tenant_claim="org")
    assert guest(by_claim, org="acme").tenant == "acme"
    for missing in (None, "", "a b", ["acme"], "x" * 65, "audit-console"):
        with pytest.raises(NotMapped, match="no tenant"):
            guest(by_claim, org=missing)
    tenants = read_tenants_map("soc=acme, b=umbrella, ops=*", "AUDIT_OIDC_TENANTS")
    by_group = Worth(ROLES, tenants)
    assert guest(by_group).tenant == "acme"
    assert guest(by_group, groups=["soc", "ops"]).tenant is None
    with pytest.raises(NotMapped, match="several tenants"):
        guest(by_group, groups=["soc", "b"])
    with pytest.raises(NotMapped, match="no tenant"):
        guest(by_group, groups=["cn=x"])


@pytest.mark.parametrize("text", ["a", "a=b c", "a=x, a=y", "a=audit-console"])
def test_tenants_that_mean_nothing_are_refused_by_name(text: str) -> None:
    with pytest.raises(Misconfigured, match="AUDIT_OIDC_TENANTS"):
        read_tenants_map(text, "AUDIT_OIDC_TENANTS")
