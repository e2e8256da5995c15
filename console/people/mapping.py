"""What groups at the provider are worth here: roles, and which tenant. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from console.access import ROLES, Role
from console.people.accounts import NAME, is_tenant
from schemas.errors import Misconfigured

EVERY_TENANT: Final = "*"
GROUPS_MAX: Final = 1_000  # of one person; Entra ID names at most 200
GROUP_MAX: Final = 512
SHOWN_MAX: Final = 50


class NotMapped(Exception):
    """Somebody proved who they are but may not come in; says why, for them to read."""

    def __init__(self, why: str, groups: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.groups = tuple(groups[:SHOWN_MAX])


@dataclass(frozen=True, slots=True)
class Worth:
    """Which claims tell name, groups and tenant, and what each group gives.

    `trusts_email`: an address counts as verified where nothing is said of that.
    """

    roles: Mapping[str, frozenset[Role]]
    tenants: Mapping[str, str] = field(default_factory=dict)
    name_claim: str = "preferred_username"
    groups_claim: str = "groups"
    tenant_claim: str = ""
    trusts_email: bool = False


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody whom the provider vouches for, as an account here would be."""

    subject: str
    name: str
    display: str
    roles: frozenset[Role]
    tenant: str | None


def guest_of(claims: Mapping[str, Any], worth: Worth) -> Guest:
    """Return who the claims speak of. Raises `NotMapped` if they may not come in."""
    groups = groups_of(claims, worth.groups_claim)
    roles = frozenset[Role]().union(*(worth.roles.get(group, frozenset()) for group in groups))
    if not roles:
        raise NotMapped("none of your groups has a role here", groups)
    name = _name(claims, worth)
    if not NAME.fullmatch(name):
        raise NotMapped(f"the provider's {worth.name_claim} is no name that an account can have")
    display = claims.get("name")
    return Guest(
        subject=f"{claims['iss']} {claims['sub']}",
        name=name,
        display=display[:128] if isinstance(display, str) and display else name,
        roles=roles,
        tenant=_tenant(claims, worth, groups),
    )


def groups_of(claims: Mapping[str, Any], path: str) -> list[str]:
    """Return the groups of a claim; dots lead inwards unless a claim has that very name. Total."""
    found = claims.get(path)
    if found is None:
        found = claims
        for step in path.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list):
        return []
    return [one for one in found[:GROUPS_MAX] if isinstance(one, str) and len(one) <= GROUP_MAX]


def read_roles_map(text: str, variable: str) -> dict[str, frozenset[Role]]:
    """Read `group=role+role, …`. Raises `Misconfigured` naming the setting and the part."""
    found: dict[str, frozenset[Role]] = {}
    for group, given in _pairs(text, variable):
        names = frozenset(part.strip() for part in given.split("+"))
        roles = frozenset(role for role in ROLES if role in names)
        if len(roles) != len(names):
            raise Misconfigured(f"{variable}: {group}={given}: the roles are {', '.join(ROLES)}")
        found[group] = found.get(group, frozenset()) | roles
    return found


def read_tenants_map(text: str, variable: str) -> dict[str, str]:
    """Read `group=tenant, …`. Raises `Misconfigured` naming the setting and the part."""
    found: dict[str, str] = {}
    for group, tenant in _pairs(text, variable):
        if not is_tenant(tenant) or found.setdefault(group, tenant) != tenant:
            raise Misconfigured(f"{variable}: {group}={tenant}: one tenant a group, without spaces")
    return found


def _pairs(text: str, variable: str) -> Iterator[tuple[str, str]]:
    """Yield group and value; the last = parts them, for names of directories hold some."""
    for part in filter(None, (one.strip() for one in text.split(","))):
        group, sign, value = part.rpartition("=")
        if not (sign and group.strip() and value.strip()):
            raise Misconfigured(f"{variable}: {part!r} is not group=value")
        yield group.strip(), value.strip()


def _name(claims: Mapping[str, Any], worth: Worth) -> str:
    """Return the name that an account gets. An address of mail counts only if it was verified.

    Where the provider doesn't say so anybody could have typed it there, unless it is told that
    addresses are verified before they are given.
    """
    is_verified = claims.get("email_verified", worth.trusts_email) is True
    email = claims.get("email") if is_verified else None
    given = claims.get(worth.name_claim) if worth.name_claim != "email" else email
    for found in (given, email, claims["sub"]):
        if isinstance(found, str) and found:
            return found
    return ""


def _tenant(claims: Mapping[str, Any], worth: Worth, groups: Sequence[str]) -> str | None:
    if worth.tenant_claim:
        found = claims.get(worth.tenant_claim)
        if not isinstance(found, str) or not is_tenant(found):
            raise NotMapped(f"the provider names no tenant ({worth.tenant_claim}) for you", groups)
        return found
    if not worth.tenants:
        return None
    tenants = {worth.tenants[group] for group in groups if group in worth.tenants}
    if EVERY_TENANT in tenants:
        return None
    if len(tenants) != 1:
        which = "several tenants" if tenants else "no tenant"
        raise NotMapped(f"your groups belong to {which} here", groups)
    return tenants.pop()
