"""One store with events that differ in all that a query can ask for."""

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.migrate import migrate
from runtime.clickhouse import Store
from tests.integration.api.stored import line, put

ROWS = 160
USERS = ["jane", "jane.doe@company.com", "Jane", "o'hara\\x", 'a "b" c', "100%", "a_b", "größe"]
ACTIONS = [
    "authentication.login.success",
    "authentication.login.failed",
    "data.export.completed",
    "audit.events.searched",
    "a.b",
]
ADDRESSES = ["203.0.113.42", "203.0.114.1", "2001:db8::7", "10.1.2.3", None]
DETAILS: list[Any] = [
    {"format": "csv", "record_count": 1523, "file_size_mb": 12.4},
    {"format": "CSV", "record_count": "1523", "nested": {"a.b": "deep", "n": -3}},
    {"list": ["x", 7, "jane"], "flag": True, "none": None},
    {"note": 'Größe "XL" a\\b\n', "format": "json", "path": "a/b*c"},
    {"big": 12345678901234567890123, "format": ""},
    {},
    None,
]


def made(count: int = ROWS) -> list[dict[str, Any]]:
    """The rows as the oracle reads them."""
    rng = random.Random(5)
    rows = []
    for offset, user in zip(range(count), itertools.cycle(USERS), strict=False):
        minute = rng.randrange(6 * 1440)
        day, rest = divmod(minute, 1440)
        row: dict[str, Any] = {
            "offset": offset,
            "partition": 0,
            "tenant": rng.choice(["default", "acme"]),
            "user": user,
            "action": rng.choice(ACTIONS),
            "result": rng.choice(["success", "failure", "denied", "error", "unknown"]),
            "resource": rng.choice(["", "voice_call_records", "x*y", "100%"]),
            "resource_id": rng.choice(["", "r-1", "r-2"]),
            "session_id": rng.choice(["", "s1", "S1"]),
            "role": rng.choice(["", "admin"]),
            "reason": rng.choice(["", "free text here", "because"]),
            "ip_address": rng.choice(ADDRESSES),
            "severity": rng.choice(["info", "low", "medium", "high", "critical"]),
            "risk_score": rng.choice([0, 10, 50, 51, 100]),
            "geo_country": rng.choice(["", "DE", "US"]),
            "geo_asn": rng.choice([0, 3320, 64500]),
            "flags": rng.choice([[], ["late"], ["protected", "off_hours"], ["read"]]),
            "rules": rng.choice([[], ["retention_shortened"]]),
            "details": rng.choice(DETAILS),
            "event_id": f"e-{offset}",
            "occurred_us": (1_759_795_200 + day * 86_400 + rest * 60) * 1_000_000,
        }
        changes = rng.choice([[], [("retention.days", '"90 days"', "180")]])
        row["changed"] = [path for path, _, _ in changes]
        row["before"] = [before for _, before, _ in changes]
        row["after"] = [after for _, _, after in changes]
        rows.append(row)
    return rows


def stored(row: dict[str, Any]) -> bytes:
    said = {
        name: row[name]
        for name in ("user", "action", "resource", "resource_id", "session_id", "role", "reason")
        if row[name]
    }
    said["timestamp"] = _moment(row["occurred_us"])
    said["tenant"] = row["tenant"]
    said["event_id"] = row["event_id"]
    if row["ip_address"]:
        said["ip_address"] = row["ip_address"]
    if row["details"] is not None or row["offset"] % 2:
        said["details"] = row["details"]
    derived = ("result", "severity", "risk_score", "geo_country", "geo_asn", "flags", "rules")
    raw = json.dumps(said, ensure_ascii=bool(row["offset"] % 3)).encode()
    columns = {name: row[name] for name in (*derived, "changed", "before", "after")}
    return line(raw, row["offset"], **columns)


def _moment(moment_us: int) -> str:

    return f"{datetime.fromtimestamp(moment_us / 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture(scope="package")
def rows() -> list[dict[str, Any]]:
    return made()


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]) -> Iterator[Store]:
    with Store(f"chdb://{tmp_path_factory.mktemp('query')}") as opened:
        migrate(opened)
        put(opened, [stored(row) for row in rows], "rows")
        yield opened
