"""The mark of what this console says of itself: reads of the log, and changes made in it.

Reads are left out of searches, so nobody but the console may make one: the mark is over the whole
event, with the key that canaries have. One without it is as real as any, and flagged as forged.
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson

from schemas.reads import READ_ACTIONS

TENANT: Final = "audit-console"  # of what is done by those who reach all tenants
MARK: Final = "audit_console_mark"  # in the details
READ: Final = "read"  # the flag of a true read
FORGED: Final = "forged_read"
_CONTEXT: Final = b"audit console event\x00"  # so that no canary's mark is one of these


def sign(key: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its mark, as it is without a key; what JSON holds."""
    if not key:
        return dict(fields)
    bare = _bare(fields.get("details"))
    return {**fields, "details": {**bare, MARK: _digest(key, {**fields, "details": bare})}}


def judge(key: bytes, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the flags of an event that says to be ours: of our tenant, or with a read's action.

    Total; without a key every one is forged.
    """
    details = fields.get("details")
    given = details.get(MARK) if isinstance(details, dict) else None
    if not key or not isinstance(given, str) or not fields.get("event_id"):
        return (FORGED,)
    wanted = _digest(key, {**fields, "details": _bare(details)})
    if not hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
        return (FORGED,)
    return (READ,) if fields["action"] in READ_ACTIONS else ()


def _bare(details: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (details or {}).items() if name != MARK}


def _digest(key: bytes, fields: Mapping[str, Any]) -> str:
    text = _CONTEXT + orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    return hmac.new(key, text, "sha256").hexdigest()
