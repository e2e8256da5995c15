"""Backtests: rows in, the alerts of live out, pages counted without repeats."""

import json
from typing import Any

from cli.rule_folder import shipped
from console.search.scan import MEMBERS
from detections.backtest import Backtest
from schemas.alert import alert_id
from schemas.catalogue import category_of, result_of, verb_of
from schemas.topics import EVENTS

HOUR_MS = 3_600_000
START_MS = 1_770_000_000_000


def row(offset: int, at_ms: int, **event: Any) -> list[Any]:
    fields = {"user": "jane@x", "timestamp": "?", **event}
    action = fields["action"]
    known = {
        "incarnation": "abc",
        "partition": 3,
        "offset": offset,
        "occurred_us": at_ms * 1000,
        "recorded_ms": at_ms,
        "event_id": f"e{offset}",
        "tenant": "default",
        "category": category_of(action),
        "verb": verb_of(action),
        "result_name": result_of(action),
        "geo_asn": 0,
        "flags": [],
        "changed": [],
        "raw": json.dumps(fields),
    }
    return [known.get(name, "") for name in MEMBERS]


def run(rule_id: str, rows: list[list[Any]], pages: int = 1) -> Backtest:
    folder = shipped()
    test = Backtest(folder.rules, folder.exceptions, rule_id)
    size = max(1, len(rows) // pages)
    for start in range(0, len(rows), size):
        test.take(MEMBERS, rows[start : start + size])
    test.finish(START_MS + 1_000 * HOUR_MS)
    return test


def test_alert_of_one_event_has_its_id_of_live() -> None:
    rows = [row(7, START_MS, action="data.export.completed", details={"record_count": 5000})]
    test = run("mass-export", rows)
    place = f"abc-{EVENTS}-3-7"
    assert list(test.tally.alerts) == [alert_id("mass-export", 1, place, place)]
    assert test.tally.pages == 1
    assert dict(test.tally.days) == {"2026-02-02": 1}


def test_repeats_within_an_hour_page_once() -> None:
    export: dict[str, Any] = {"action": "data.export.completed", "details": {"record_count": 5000}}
    at = [0, 10, 50, 65, 300]
    rows = [row(n, START_MS + minutes * 60_000, **export) for n, minutes in enumerate(at)]
    test = run("mass-export", rows)
    assert len(test.tally.alerts) == 5
    assert test.tally.pages == 3


def test_rule_of_low_severity_pages_nobody() -> None:
    test = run("api-key-without-end", [row(0, START_MS, action="api.key.created")])
    assert len(test.tally.alerts) == 1
    assert test.tally.pages == 0


def test_correlation_is_the_same_however_pages_are_cut() -> None:
    rows = [
        row(n, START_MS + n * 1000, user=f"u{n}", action="authentication.login.failed",
            ip_address="198.51.100.1")
        for n in range(30)
    ]  # fmt: skip
    found = [set(run("password-spray", rows, pages).tally.alerts) for pages in (1, 3, 30)]
    assert found[0]
    assert found[0] == found[1] == found[2]


def test_rows_far_apart_in_one_page_lose_nothing() -> None:
    rows = [
        row(n, START_MS + n // 10 * 48 * HOUR_MS + n, user=f"u{n}",
            action="authentication.login.failed", ip_address="198.51.100.1")
        for n in range(30)
    ]  # fmt: skip
    assert len(run("password-spray", rows).tally.alerts) == 3


def test_chained_correlation_is_found() -> None:
    rows = [row(n, START_MS + n * 1000, action="authentication.login.failed") for n in range(6)] + [
        row(9, START_MS + 180_000, action="authentication.login.success")
    ]
    assert len(run("brute-force-success", rows).tally.alerts) == 1


def test_only_the_rule_asked_for_is_told() -> None:
    rows = [row(n, START_MS + n * 1000, action="authentication.login.failed") for n in range(12)]
    test = run("brute-force", rows)
    assert {alert.rule_id for alert in test.tally.alerts.values()} == {"brute-force"}
