"""What an exception must say of itself: whose, why, until when, for which rules and tenant."""

import re
from datetime import date
from typing import Final

from detections.sigma.faults import BadRule

OWNER_LENGTH_MAX: Final = 512
TENANT_LENGTH_MAX: Final = 64
_DATE: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])")


def check_exception(told: object) -> tuple[str, ...]:
    """Return the references to its rules. Raises `BadRule`."""
    if not isinstance(told, dict):
        raise BadRule("`exception` must be a mapping", "exception")
    for key in ("owner", "reason", "expires"):
        text = told.get(key)
        if not isinstance(text, str) or not text.strip() or len(text) > OWNER_LENGTH_MAX:
            raise BadRule(f"an exception needs `{key}`, as a text", f"exception.{key}")
    if not _is_date(told["expires"]):
        raise BadRule("`expires` must be a date such as 2026-12-31", "exception.expires")
    tenant = told.get("tenant", "all")
    if not isinstance(tenant, str) or not 0 < len(tenant) <= TENANT_LENGTH_MAX:
        raise BadRule("`tenant` must be the name of one tenant", "exception.tenant")
    rules = told.get("rules")
    rules = [rules] if isinstance(rules, str) else rules
    if not isinstance(rules, list) or not rules or not all(isinstance(r, str) for r in rules):
        raise BadRule("an exception names the `rules` that it is for", "exception.rules")
    return tuple(rules)


def _is_date(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:  # such as February 30
        return False
