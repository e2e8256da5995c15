"""Rows of the store as the views show them. Pure: a row is a mapping of plain values."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from console.search.moment import rfc3339
from schemas.errors import Broken

Row = Mapping[str, Any]

# Moments as integers and addresses as texts: what a driver makes of them is then all the same.
EVENT_SELECT: Final = """
    event_id, toUnixTimestamp64Micro(occurred) AS occurred_us, tenant, user, role, on_behalf_of,
    action, result AS result_name, resource, resource_id,
    IPv6NumToString(ip_address) AS address, user_agent, session_id, request_id, source, reason,
    details_masked, category, verb, changed, before, after, geo_country, geo_asn, geo_as_name,
    client, department, user_status, data_class, retention_class,
    toString(retain_until) AS retained, severity AS severity_name, risk_score, flags, rules,
    toUnixTimestamp64Milli(recorded) AS recorded_ms, toUnixTimestamp64Milli(stored) AS stored_ms,
    incarnation, topic, partition, offset, raw
"""

_OPTIONAL: Final = (
    "role",
    "on_behalf_of",
    "resource",
    "resource_id",
    "user_agent",
    "session_id",
    "request_id",
    "source",
    "reason",
    "verb",
    "client",
    "department",
    "user_status",
    "data_class",
    "retention_class",
)
_NO_DATE: Final = "1970-01-01"
_SPACE: Final = " \t\n\r"
# Numbers stay texts: a reader that only looks for where a value ends need not read it.
_SCANNER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def render_event(row: Row) -> dict[str, Any]:
    """Return an `EventOut` as orjson dumps it: the details go through byte for byte."""
    optional = {name: row[name] or None for name in _OPTIONAL}
    return {
        "event_id": row["event_id"],
        "timestamp": rfc3339(row["occurred_us"]),
        "tenant": row["tenant"],
        "user": row["user"],
        "role": optional["role"],
        "on_behalf_of": optional["on_behalf_of"],
        "action": row["action"],
        "result": row["result_name"],
        "resource": optional["resource"],
        "resource_id": optional["resource_id"],
        "ip_address": render_address(row["address"]),
        "user_agent": optional["user_agent"],
        "session_id": optional["session_id"],
        "request_id": optional["request_id"],
        "source": optional["source"],
        "reason": optional["reason"],
        "details": orjson.Fragment(details_text(row)),
        "category": row["category"],
        "verb": optional["verb"],
        "changes": render_changes(row["changed"], row["before"], row["after"]),
        "geo": {
            "country": row["geo_country"].strip("\0") or None,
            "asn": row["geo_asn"] or None,
            "as_name": row["geo_as_name"] or None,
        },
        "client": optional["client"],
        "department": optional["department"],
        "user_status": optional["user_status"],
        "data_class": optional["data_class"],
        "retention_class": optional["retention_class"],
        "retain_until": None if row["retained"] == _NO_DATE else row["retained"],
        "severity": row["severity_name"],
        "risk_score": row["risk_score"],
        "flags": list(row["flags"]),
        "rules": list(row["rules"]),
        "recorded": rfc3339(row["recorded_ms"] * 1000, digits=3),
        "stored": rfc3339(row["stored_ms"] * 1000, digits=3),
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
    }


def render_address(address: str) -> str | None:
    """Return v4 as v4, v6 as v6, and nothing for ::, which stands for an absent address."""
    if address == "::":
        return None
    return address.removeprefix("::ffff:") if "." in address else address


def render_changes(
    paths: Sequence[str], before: Sequence[str], after: Sequence[str]
) -> list[dict[str, Any]]:
    """Join the three columns; an empty text is a side that was not there."""
    if not len(paths) == len(before) == len(after):
        raise Broken("a row's changed, before and after differ in length")
    return [
        {
            "path": path,
            "before": orjson.Fragment(old or "null"),
            "after": orjson.Fragment(new or "null"),
        }
        for path, old, new in zip(paths, before, after, strict=True)
    ]


def details_text(row: Row) -> str:
    """Return the details as JSON text: masked if the stage masked them, else from the raw bytes."""
    return row["details_masked"] or member_text(row["raw"], "details") or "{}"


def member_text(raw: str, name: str) -> str | None:
    """Return the JSON text of a top-level member, exactly as written; None if absent or null.

    `raw` must be a JSON object, as every accepted event is; raises `Broken` if it is not.
    """
    try:
        position = raw.index("{") + 1
        while True:
            position = _skip(raw, position)
            if raw[position] == "}":
                return None
            key, position = _SCANNER.raw_decode(raw, position)
            position = _skip(raw, _skip(raw, position) + 1)
            _, end = _SCANNER.raw_decode(raw, position)
            if key == name:
                found = raw[position:end]
                return None if found == "null" else found
            position = _skip(raw, end)
            if raw[position] == "}":
                return None
            position += 1
    except (ValueError, IndexError) as error:
        raise Broken("the raw bytes of a stored event are not a JSON object") from error


def render_raw(raw: bytes | str) -> tuple[str | None, str | None]:
    """Return the bytes as text, or in base64 where they are no UTF-8: one of the two is None."""
    if isinstance(raw, str):
        return raw, None
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(raw).decode()


def _skip(raw: str, position: int) -> int:
    while raw[position] in _SPACE:
        position += 1
    return position


def render_provenance(row: Row, batch: Row | None) -> dict[str, Any]:
    """Return a `Provenance`; without a batch the row of the ledger of batches is lost."""
    return {
        "incarnation": row["incarnation"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "recorded": rfc3339(row["recorded_ms"] * 1000, digits=3),
        "stored": rfc3339(row["stored_ms"] * 1000, digits=3),
        "replayed": bool(row["replayed"]),
        "versions": row["versions"],
        "batch": batch
        and {
            "first_offset": batch["origin_from"],
            "last_offset": batch["origin_next"] - 1,
            "rows": batch["rows_stored"],
            "written": rfc3339(batch["written_ms"] * 1000, digits=3),
        },
    }


def render_quarantined(row: Row) -> dict[str, Any]:
    """Return a `QuarantineOut`."""
    return {
        "reason": row["reason"],
        "hint": row["hint"] or None,
        "size": row["size"],
        "incarnation": row["incarnation"],
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "recorded": rfc3339(row["recorded_ms"] * 1000, digits=3),
        "stored": rfc3339(row["stored_ms"] * 1000, digits=3),
        "versions": row["versions"],
        "open": bool(row["is_open"]),
    }
