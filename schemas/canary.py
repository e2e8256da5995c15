"""Canaries: synthetic events that prove that a rule still speaks, and the mark that proves them.

The mark is over the whole event, so nobody without the key makes one, and nobody turns one into
another. An event of the tenant without a valid mark is as real as any, and flagged as forged.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson

TENANT: Final = "audit-canary"
RULE: Final = "audit_canary"  # in the details: the rule that the event is for
MARK: Final = "audit_canary_mark"
CANARY: Final = "canary"  # the flag of a true one
FORGED: Final = "forged_canary"
# Longer than a tenant that an event can name, so that no other event is counted with a canary.
_RUN_TENANT: Final = f"{TENANT}:{{}}"
_RUN_TENANT_LENGTH: Final = len(TENANT) + 1 + 64


def sign(key: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its mark; what JSON holds, and details that are a mapping."""
    return {**fields, "details": {**fields["details"], MARK: _digest(key, fields)}}


def judge(key: bytes, fields: Mapping[str, Any]) -> str:
    """Return the flag of an event of the tenant. Total; without a key none is a true one."""
    details = fields.get("details")
    if not key or not isinstance(details, dict):
        return FORGED
    given = details.get(MARK)
    if not isinstance(given, str) or not fields.get("event_id") or RULE not in details:
        return FORGED
    bare = {name: value for name, value in details.items() if name != MARK}
    wanted = _digest(key, {**fields, "details": bare})
    is_ours = hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
    return CANARY if is_ours else FORGED


def fingerprint(key: bytes) -> str:
    """Name a key without telling it; '' if there is none."""
    return hashlib.sha256(b"audit canary key\x00" + key).hexdigest()[:8] if key else ""


def event_name(run: str, number: int) -> str:
    """Return the id of one event of a run."""
    return f"{CANARY}-{run}-{number}"


def run_of(event_id: str) -> str:
    """Return the run that an event id is of; '' if it is no canary's."""
    head, _, rest = event_id.partition("-")
    return rest.rpartition("-")[0] if head == CANARY else ""


def rule_of(fields: Mapping[str, Any]) -> str:
    """Return the rule that a true canary is for."""
    return str(fields["details"][RULE])


def run_tenant(run: str) -> str:
    """Return the tenant under which rules with a memory count the true canaries of a run."""
    return _RUN_TENANT.format(hashlib.sha256(run.encode()).hexdigest())


def is_run_tenant(tenant: str) -> bool:
    """Say whether a tenant is that of a run."""
    return len(tenant) == _RUN_TENANT_LENGTH and tenant.startswith(f"{TENANT}:")


def _digest(key: bytes, fields: Mapping[str, Any]) -> str:
    return hmac.new(key, orjson.dumps(fields, option=orjson.OPT_SORT_KEYS), "sha256").hexdigest()
