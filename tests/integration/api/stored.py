"""What the API tests have in their store, what stands in for its other parts, and how they ask."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import orjson

from consumers.alerts.book import Book
from consumers.alerts.planning import Placed
from consumers.alerts.schedule import Attempt
from runtime.clickhouse import Store
from schemas.alert import Alert, alert_id
from schemas.errors import BrokerUnavailable
from schemas.ledger import Ledger, PartitionLedger, total
from schemas.tables import BATCHES, EVENT_COLUMNS, EVENTS, QUARANTINE, QUARANTINE_COLUMNS
from schemas.views import EventPage, ReplayAsked, ReplayDone

TOKEN = "t" * 43
INCARNATION = "HHiSBQq0QzCA_2kkOfqu3A"
NOW_MS = 1_760_300_000_000  # 2025-10-12T20:13:20Z

SEED = (
    (
        b'{"timestamp":"2025-10-11T14:23:15Z","user":"jane.doe@company.com",'
        b'"action":"authentication.login.success","ip_address":"203.0.113.42",'
        b'"session_id":"sess_abc123","details":{"method":"sso","provider":"okta"}}'
    ),
    (
        b'{"timestamp":"2025-10-11T14:30:00Z","user":"admin@company.com",'
        b'"action":"data.export.completed","resource":"voice_call_records",'
        b'"ip_address":"203.0.113.42","session_id":"sess_xyz789",'
        b'"details":{"date_range":"2025-09-01 to 2025-09-30","format":"csv",'
        b'"record_count":1523,"file_size_mb":12.4}}'
    ),
    (
        b'{"timestamp":"2025-10-11T15:45:30Z","user":"admin@company.com",'
        b'"action":"settings.retention_policy.updated","resource":"voice_recordings",'
        b'"ip_address":"203.0.113.42","session_id":"sess_xyz789",'
        b'"details":{"before":"90 days","after":"180 days",'
        b'"reason":"compliance requirement update"}}'
    ),
)


class Clock:
    def now_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return 0.0


def line(raw: bytes, offset: int, **extra: Any) -> bytes:
    """What stage 1 would write of a raw message, as far as the API shows it."""
    said = json.loads(raw)
    names = set(EVENT_COLUMNS) & set(said) - {"details"}
    row = {name: said[name] for name in names if said[name] is not None}
    details = said.get("details") or {}
    if isinstance(why := details.get("reason"), str):
        row.setdefault("reason", why)
    if details.get("break_glass"):
        row["flags"] = [*row.get("flags", ()), "break_glass"]
    row |= {
        "tenant": said.get("tenant", "default"),
        "occurred": said["timestamp"].replace("T", " ").rstrip("Z"),
        "event_id": said.get("event_id", f"{INCARNATION[:8]}-0-{offset}"),
        "ip_address": said.get("ip_address", "::"),
        "category": "api",
        "verb": "do",
        "severity": "info",
        "versions": "pipeline=1",
        "incarnation": INCARNATION,
        "topic": "audit.events",
        "partition": 0,
        "offset": offset,
        "recorded": "2025-10-12 00:00:00.123",
        "raw": raw.decode(),
        "batch_deadline": 4_000_000_000,
    }
    return orjson.dumps(row | extra)


def put(store: Store, lines: list[bytes], token: str) -> None:
    store.insert_lines(
        EVENTS, [*EVENT_COLUMNS, "batch_deadline", "replayed"], b"\n".join(lines), token
    )


def event(offset: int, **fields: Any) -> bytes:
    said = {"timestamp": "2025-10-10T00:00:00Z", "user": "u", "action": "api.call.completed"}
    return line(orjson.dumps(said | fields), offset)


def special_events() -> Iterator[bytes]:
    yield event(500, user="a_b", resource="100%", resource_id="x\\y", event_id="own-1")
    yield event(501, user="axb", resource="100x", details={"note": 'Größe "XL" a\\b'})
    yield event(502, user="six", ip_address="2001:db8::7", session_id="s-6")
    yield event(503, user="four", ip_address="10.1.2.3", tenant="acme")
    raw = b'{"timestamp":"2025-10-10T00:00:00Z","user":"num","action":"a.b","details":'
    yield line(raw + b'{"big":123456789012345678901234567890,"f":12.40,"t":"gr\\u00fcn"}}', 504)
    yield line(raw + b'{"password":"hunter2"}}', 505, details_masked='{"password":"***"}')
    yield event(506, user="twice", event_id="same")
    yield event(507, user="twice", event_id="same")
    yield event(508, user="'; DROP TABLE events; --", reason="\x1b[31m<script>")


def put_others(store: Store) -> None:
    rejected = {
        "reason": "timestamp:missing",
        "hint": "add the field",
        "size": 3,
        "versions": "pipeline=1",
        "incarnation": INCARNATION,
        "topic": "audit.events",
        "partition": 0,
        "recorded": "2025-10-12 00:00:00.123",
        "batch_deadline": 4_000_000_000,
    }
    rows = [
        rejected | {"offset": 600, "raw_base64": "/wAB"},
        rejected | {"offset": 601, "raw_base64": "e30="},
    ]
    lines = b"\n".join(map(orjson.dumps, rows))
    store.insert_lines(QUARANTINE, [*QUARANTINE_COLUMNS, "batch_deadline"], lines, "q")
    put(store, [line(SEED[0], 601, replayed=1, event_id="moved")], "moved")
    batch = {
        "incarnation": INCARNATION,
        "topic": "audit.events",
        "partition": 0,
        "origin_from": 0,
        "origin_next": 3,
        "record_first": 0,
        "record_last": 2,
        "rows_stored": 3,
    }
    store.insert_lines(BATCHES, list(batch), orjson.dumps(batch), "b")
    book = Book(store)
    book.store([Placed(alert(n), 0, n) for n in range(5)])
    book.record(
        [
            Attempt(alert(0).alert_id, "hook", 0, NOW_MS, "failed", "queued", NOW_MS),
            Attempt(alert(0).alert_id, "hook", 1, NOW_MS, "failed", "refused", NOW_MS + 1000),
            Attempt(alert(0).alert_id, "hook", 2, NOW_MS + 1000, "delivered", "", NOW_MS + 1000),
        ]
    )


def alert(number: int) -> Alert:
    return Alert(
        alert_id=alert_id("rule", 1, str(number), "x"),
        rule_id="rule" if number else "first",
        rule_version=1,
        title=f"Alert {number}",
        severity="high",
        tenant="acme" if number == 4 else "default",
        group=str(number),
        summary="what happened",
        user="jane",
        event_ids=("e1",),
        occurred=f"2025-10-12T10:00:0{number}.5Z",
        recorded=f"2025-10-12T10:00:0{number}.750Z",
    )


async def ledger() -> Ledger:
    return total(
        [
            PartitionLedger(
                incarnation=INCARNATION,
                topic="audit.events",
                partition=0,
                received=3,
                stored=3,
                quarantined=0,
                difference=0,
                lag=0,
            )
        ]
    )


async def replay(asked: ReplayAsked) -> ReplayDone:
    if asked.partition == 9:
        raise BrokerUnavailable("Kafka is away")
    return ReplayDone(replayed=asked.limit, still_rejected=0)


async def search(client: httpx.AsyncClient, **asked: Any) -> list[dict[str, Any]]:
    answer = await client.get("/v1/events", params={"limit": 500, **asked})
    assert answer.status_code == 200, answer.text
    page = answer.json()
    EventPage.model_validate(page)
    found: list[dict[str, Any]] = page["events"]
    return found


def offsets(found: list[dict[str, Any]]) -> list[int]:
    return [row["offset"] for row in found]
