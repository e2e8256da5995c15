"""Who may do what: roles, what each grants, and the principal that a request is made by. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, get_args

from console.web.problems import Refused

Role = Literal["viewer", "analyst", "auditor", "administrator"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

Permission = Literal[
    "read_events",  # search, one event, entities, timelines
    "read_raw",  # the bytes as published, also those in quarantine
    "read_alerts",  # alerts, their history, the rules
    "read_cases",
    "read_reports",
    "read_reads",  # who read what: events of this console's own
    "export",
    "run_sql",
    "save_searches",  # one's own
    "work_alerts",  # take, assign, close, note
    "work_cases",
    "read_health",  # ledger, doctor, quarantine's reasons, canaries, targets, versions
    "replay",  # messages of the quarantine
    "read_people",  # accounts, tokens and sessions, never a secret
    "manage_people",
    "own_account",  # one's own password, tokens and sessions
]
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_READER: Final[frozenset[Permission]] = frozenset(
    {"read_events", "read_alerts", "save_searches", "read_health", "own_account"}
)
_INVESTIGATOR: Final[frozenset[Permission]] = _READER | {
    "read_raw",
    "read_cases",
    "read_reports",
    "export",
    "run_sql",
}
# An auditor reads all and changes nothing; an administrator manages and reads no event.
GRANTS: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        "viewer": _READER,
        "analyst": _INVESTIGATOR | {"work_alerts", "work_cases"},
        "auditor": _INVESTIGATOR | {"read_reads", "read_people"},
        "administrator": frozenset(
            {"read_health", "replay", "read_people", "manage_people", "own_account"}
        ),
    }
)


_OWN: Final[frozenset[Permission]] = frozenset({"own_account"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is made by; everything in it comes from the credential, nothing from outside.

    `tenant` None reaches all tenants. `key` names the session or token without giving it away;
    `csrf` is the secret that forms of a session carry, empty where no cookie is used. `scope`
    narrows a token to some permissions; None does not narrow. Who `must_change` the password may
    do nothing else.
    """

    name: str
    roles: frozenset[Role]
    tenant: str | None = None
    kind: Literal["service", "session", "token"] = "service"
    key: str = ""
    csrf: str = field(default="", repr=False)
    client: str = ""
    scope: frozenset[Permission] | None = None
    must_change: bool = False

    @property
    def permissions(self) -> frozenset[Permission]:
        """All that its roles grant, narrowed to its scope."""
        if self.must_change:
            return _OWN
        granted = frozenset[Permission]().union(*(GRANTS[role] for role in self.roles))
        return granted if self.scope is None else granted & self.scope

    def may(self, permission: Permission) -> bool:
        """Say whether it is granted."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Raise `Refused` unless it is granted."""
        if not self.may(permission):
            raise Refused(
                "forbidden",
                f"this needs the right to {permission.replace('_', ' ')}",
                cure=f"ask an administrator for {_roles_with(permission)}",
            )


def _roles_with(permission: Permission) -> str:
    roles = [role for role in ROLES if permission in GRANTS[role]]
    return f"the role {' or '.join(roles)}"
