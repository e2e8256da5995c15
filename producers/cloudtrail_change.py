"""What a CloudTrail event changed, where it tells: before and after.

Blind spot: most calls say only what was asked for; then there is an after and no before.
"""

import re
from typing import Any, Final

_POLICY_KEYS: Final = (
    "policyDocument",
    "assumeRolePolicyDocument",
    "bucketPolicy",
    "resourcePolicy",
    "policy",
    "AccessControlPolicy",
)
_SHARING: Final = ("createVolumePermission", "launchPermission", "valuesToAdd", "valuesToRemove")
_SETTING_CALL: Final = re.compile(r"(?:Put|Update|Modify|Set|Change)[A-Z]")
_SECRET_CALL: Final = re.compile(r"Secret|Parameter|Password|LoginProfile")


def change_of(name: str, asked: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    """Return `before` and/or `after`, or nothing. Total."""
    found = _states(answered) or _renamed(asked) or _shared(asked)
    if found:
        return found
    if name.startswith("RevokeSecurityGroup"):
        return {"before": asked.get("ipPermissions") or asked}
    if name.startswith("AuthorizeSecurityGroup"):
        return {"after": asked.get("ipPermissions") or asked}
    policy = next((asked[key] for key in _POLICY_KEYS if asked.get(key)), None)
    if policy is not None:
        return {"after": policy}
    is_setting = _SETTING_CALL.match(name) and not _SECRET_CALL.search(name)
    return {"after": asked} if is_setting and asked else {}


def _renamed(asked: dict[str, Any]) -> dict[str, Any]:
    """Read newUserName beside userName, newPath beside path."""
    names = {key: key[3:4].lower() + key[4:] for key in asked if key.startswith("new")}
    new = {name: asked[key] for key, name in names.items() if name and asked[key]}
    return {"before": {name: asked.get(name) for name in new}, "after": new} if new else {}


def _states(answered: dict[str, Any]) -> dict[str, Any]:
    """Read previousState and currentState of instances that were started, stopped, ended."""
    instances = answered.get("instancesSet")
    items = instances.get("items") if isinstance(instances, dict) else None
    before, after = {}, {}
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("previousState"), dict):
            instance = str(item.get("instanceId"))
            current = item.get("currentState")
            before[instance] = item["previousState"].get("name")
            after[instance] = current.get("name") if isinstance(current, dict) else None
    return {"before": before, "after": after} if before else {}


def _shared(asked: dict[str, Any]) -> dict[str, Any]:
    """Read with whom a snapshot or image is shared from now on, and no longer."""
    for key in _SHARING[:2]:
        permission = asked.get(key)
        if isinstance(permission, dict):
            found = {"before": permission.get("remove"), "after": permission.get("add")}
            return {side: value for side, value in found.items() if value}
    found = {"before": asked.get(_SHARING[3]), "after": asked.get(_SHARING[2])}
    return {side: value for side, value in found.items() if value}
