"""Lines: a record's JSON, joined of parts of which most are written once and used often. Pure."""

from typing import Any

import orjson


def to_members(columns: dict[str, Any]) -> bytes:
    """Write columns as members of an object, each with a comma before it; none as no bytes."""
    return b"," + orjson.dumps(columns)[1:-1] if columns else b""
