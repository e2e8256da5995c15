"""Rules on rights: who becomes an administrator, who makes a key that acts for another.

Source: MITRE ATT&CK T1098. Blind spot: rights given through a group whose name says nothing.
"""

from collections.abc import Iterator
from typing import Any, Final

from detections.rule import Derived, Fields, Rule
from detections.words import walk, words_of

_ADMIN: Final = frozenset(
    {"admin", "admins", "administrator", "administrators", "administratoraccess", "root",
     "superuser", "superadmin", "sysadmin", "owner"}
)  # fmt: skip
_GRANTING: Final = frozenset(
    {"granted", "grant", "assigned", "assign", "added", "add", "updated", "update", "changed",
     "change", "attached", "attach", "elevated", "promoted", "created", "create", "modified"}
)  # fmt: skip
_ROLE_KEYS: Final = frozenset(
    {"role", "roles", "new_role", "role_name", "granted_role", "permission", "permissions",
     "group", "group_name", "policy", "policy_name", "policy_arn", "after", "added", "privilege"}
)  # fmt: skip
_KEY: Final = frozenset({"key", "keys", "token", "tokens", "apikey", "credential", "accesskey"})
_MAKING: Final = frozenset({"created", "create", "issued", "issue", "generated", "generate"})
_OWNER_KEYS: Final = ("for_user", "owner", "target_user", "created_for", "subject")
_FAILED: Final = frozenset({"failure", "denied", "error"})
TEXTS_MAX: Final = 256  # role names that one event may name


def _concerns_grant(action: str, category: str) -> bool:
    return category == "permission" and not _GRANTING.isdisjoint(words_of(action))


def _examine_grant(fields: Fields, derived: Derived) -> str:
    if derived.result in _FAILED:
        return ""
    for key, node in walk(fields.get("details")):
        is_old = key in ("before", "removed", "old", "previous")
        for role in () if is_old else _roles(node):
            if not _ADMIN.isdisjoint(words_of(role)) and not _had(node, role):
                whom = fields.get("resource_id") or fields.get("on_behalf_of") or "somebody"
                return f"{fields['user']} gave {whom} the role {role}."
    return ""


def _roles(node: Fields) -> Iterator[str]:
    for name, value in list(node.items())[:TEXTS_MAX]:
        if name in _ROLE_KEYS:
            if isinstance(value, str):
                yield value
            elif isinstance(value, list):
                yield from (item for item in value[:TEXTS_MAX] if isinstance(item, str))


def _had(node: Fields, role: str) -> bool:
    before: Any = node.get("before")
    return before == role or (isinstance(before, list) and role in before)


def admin_role_granted() -> Rule:
    """Build the rule."""
    return Rule(
        id="admin-role-granted",
        version=1,
        title="Administrator role granted",
        why="A new administrator can undo every other control.",
        severity="high",
        risk=35,
        tags=("attack.persistence", "attack.privilege_escalation", "attack.t1098"),
        false_positives=("A joiner or a mover in the admin team, with an approval.",),
        runbook="What else did the giver do: audit search --user {user} --since 24h\n"
        "Changes of rights today: audit search --action 'permission.*' --since 24h\n"
        "Without an approval: take the role back, end the sessions of both accounts.",
        concerns=_concerns_grant,
        examine=_examine_grant,
    )


def _concerns_key(action: str, category: str) -> bool:
    words = words_of(action)
    return (
        category in ("api", "permission", "security", "authentication", "integration")
        and not _KEY.isdisjoint(words)
        and not _MAKING.isdisjoint(words)
    )


def _examine_key(fields: Fields, derived: Derived) -> str:
    if derived.result in _FAILED:
        return ""
    details: Fields = fields.get("details") or {}
    user: str = fields["user"]
    owners = [fields.get("on_behalf_of"), *(details.get(name) for name in _OWNER_KEYS)]
    other = next((name for name in owners if isinstance(name, str) and name), None)
    if other is None or other.casefold() == user.casefold():
        return ""
    return f"{user} made an API key that acts for {other}."


def key_for_another() -> Rule:
    """Build the rule."""
    return Rule(
        id="api-key-for-another",
        version=1,
        title="API key made for another user",
        why="Who holds a key acts as its owner, past the owner's password and second factor.",
        severity="medium",
        risk=20,
        tags=("attack.persistence", "attack.t1098.001"),
        false_positives=("Administrators who set up service accounts.",),
        runbook="Other keys made by this user: audit search --user {user} --action '*key*'"
        " --since 30d\n"
        "Ask the owner of the key; if unknown to the owner, revoke it.",
        concerns=_concerns_key,
        examine=_examine_key,
    )
