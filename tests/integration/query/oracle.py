"""What a query means, in plain Python over events as JSON has them: slow, and easy to believe."""

import ipaddress
import json
import re
from typing import Any

from console.query.patterns import SAID
from console.query.tree import All, Either, Node, Not, Parts, Term
from console.search.moment import parse_moment
from schemas.alert import SEVERITIES

ORDER: tuple[str, ...] = SEVERITIES
COLUMNS = {
    "session": "session_id",
    "request": "request_id",
    "event": "event_id",
    "country": "geo_country",
    "as_name": "geo_as_name",
    "retention": "retention_class",
    "flag": "flags",
    "rule": "rules",
    "ip": "ip_address",
    "risk": "risk_score",
    "asn": "geo_asn",
}


def holds(node: Node, row: dict[str, Any], now_us: int) -> bool:
    if isinstance(node, Not):
        return not holds(node.node, row, now_us)
    if isinstance(node, All):
        return all(holds(inner, row, now_us) for inner in node.nodes)
    if isinstance(node, Either):
        return any(holds(inner, row, now_us) for inner in node.nodes)
    return _term(node, row, now_us)


def _term(term: Term, row: dict[str, Any], now_us: int) -> bool:
    if term.field in ("since", "until"):
        is_before = int(row["occurred_us"]) < parse_moment(term.value, now_us, term.field)
        return is_before == (term.field == "until")
    if term.field in _SPECIAL:
        return bool(_SPECIAL[term.field](term, row))
    value = row.get(COLUMNS.get(term.field, term.field))
    if term.field in ("risk", "asn", "partition", "offset"):
        return (term.field != "asn" or bool(value)) and _compares(term, int(value or 0))
    return _said(term, value)


def _said(term: Term, value: Any) -> bool:
    if term.field in ("before", "after"):
        value = [_unquoted(one) for one in value or []]
    if isinstance(value, list):
        return any(_fits(term.parts, one) for one in value)
    return bool(value) if term.parts == ("", "") else _fits(term.parts, value or "")


def _fits(parts: Parts, value: str) -> bool:
    if parts == ("", ""):
        return True
    return re.fullmatch(".*".join(map(re.escape, parts)), value, re.DOTALL) is not None


def _compares(term: Term, value: float) -> bool:
    wanted = float(term.value)
    return {
        ":": value == wanted,
        "<": value < wanted,
        "<=": value <= wanted,
        ">": value > wanted,
        ">=": value >= wanted,
        "..": wanted <= value <= float(term.high or 0),
    }[term.operator]


def _is(term: Term, row: dict[str, Any]) -> bool:
    found: bool = {
        "protected": "protected" in row["flags"],
        "changed": bool(row["changed"]),
        "failed": row["result"] in ("failure", "denied", "error"),
        "canary": "canary" in row["flags"],
        "read": "read" in row["flags"],
        "replayed": False,
    }[term.value]
    return found


def _has(term: Term, row: dict[str, Any]) -> bool:
    if term.path:
        return any(one is not None for one in _at(row, term.path, is_whole=True))
    value = row.get(COLUMNS.get(term.value, term.value))
    if term.value == "result":
        return value != "unknown"
    if term.value == "details":
        return bool(row["details"])
    return value not in (None, "", [], 0)


def _ip(term: Term, row: dict[str, Any]) -> bool:
    if not row["ip_address"]:
        return False
    network = ipaddress.ip_network(term.value, strict=False)
    address: Any = ipaddress.ip_address(row["ip_address"])
    if network.version == 6 and address.version == 4:
        address = ipaddress.IPv6Address(f"::ffff:{address}")
    return address in network


def _severity(term: Term, row: dict[str, Any]) -> bool:
    place, wanted = ORDER.index(row["severity"]), ORDER.index(term.value)
    high = str(ORDER.index(term.high)) if term.high else ""
    return _compares(Term("", (str(wanted),), term.operator, high), place)


def _at(row: dict[str, Any], path: Parts, *, is_whole: bool = False) -> list[Any]:
    found: Any = row["details"]
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return []
        found = found[key]
    return found if isinstance(found, list) and not is_whole else [found]


def _member(term: Term, row: dict[str, Any]) -> bool:
    return any(_is_such(term, value) for value in _at(row, term.path))


def _is_such(term: Term, value: Any) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    number = _number(value, text)
    if term.operator != ":":
        return number is not None and _compares(term, number)
    if term.parts == ("", ""):
        return value is not None
    is_number = len(term.parts) == 1 and re.fullmatch(r"-?\d+(\.\d+)?", term.value)
    return _fits(term.parts, text) or bool(is_number and number == float(term.value))


def _number(value: Any, text: str) -> float | None:
    try:
        return None if isinstance(value, bool | None) else float(text)
    except ValueError:
        return None


def _text(term: Term, row: dict[str, Any]) -> bool:
    if term.parts == ("", ""):
        return True
    said = [row.get(column) or "" for column in SAID]
    if _inside(term.parts, *said) or _details(term, row):
        return True
    return len(term.parts) == 1 and term.value in (row["event_id"], row["ip_address"])


def _details(term: Term, row: dict[str, Any]) -> bool:
    if term.parts == ("", ""):
        return True
    text = json.dumps(row["details"], separators=(",", ":"), ensure_ascii=False)
    needles = tuple(json.dumps(part, ensure_ascii=False)[1:-1] for part in term.parts)
    return _inside(needles, text if row["details"] is not None else "")


def _inside(parts: Parts, *texts: str) -> bool:
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL | re.IGNORECASE)
    return any(pattern.search(text) for text in texts)


def _unquoted(value: str) -> str:
    return str(json.loads(value)) if value.startswith('"') else value


_SPECIAL = {
    "is": _is,
    "has": _has,
    "ip": _ip,
    "severity": _severity,
    "details.": _member,
    "text": _text,
    "details": _details,
}
