"""Reads of the log in stage 1: the console's own are marked, whoever poses as one stays seen."""

from typing import Any

import orjson
import pytest

from cli.own_events import own_message
from console.access import Principal
from console.ports import Read
from console.record.recording import event_of_read
from detections.sigma.detector import SigmaDetector
from pipeline.enrich import Terms
from pipeline.run import Run
from pipeline.stage import Stage
from schemas.console_mark import FORGED, READ, TENANT
from tests.unit.pipeline.judging import INCARNATION, LOOKUPS, RECORDED_MS, Raw
from tests.unit.pipeline.test_stage2 import ruleset

KEY = b"key of the test"
OPERATOR = Principal("service-token", frozenset({"auditor"}), None, client="203.0.113.42")
ACME = Principal("amy", frozenset({"auditor"}), "acme")


def read(by: Principal = OPERATOR, key: bytes = KEY, **asked: Any) -> dict[str, Any]:
    event = event_of_read(Read("/search", asked, by, 3), RECORDED_MS)
    found: dict[str, Any] = orjson.loads(own_message(key, event, "").value)
    return found


def record_of(event: dict[str, Any], key: bytes = KEY) -> dict[str, Any]:
    detector = SigmaDetector(ruleset())
    stage = Stage(LOOKUPS, detector, lambda _topic: INCARNATION, Terms(canary_key=key))
    output = stage(Run("audit.events", 3, 0, [Raw(0, RECORDED_MS, None, orjson.dumps(event))]))
    found: dict[str, Any] = orjson.loads(output.records[0].value)
    return found


def marks(event: dict[str, Any], key: bytes = KEY) -> set[str]:
    return {READ, FORGED} & set(record_of(event, key).get("flags", ()))


@pytest.mark.parametrize("by", [OPERATOR, ACME])
def test_a_true_read_is_flagged_as_one(by: Principal) -> None:
    record = record_of(read(by, q="user:jane"))
    assert READ in record["flags"]
    assert not {FORGED, "unknown_fields", "secret_masked"} & set(record["flags"])
    assert record["tenant"] == (by.tenant or "audit-console")


def test_a_read_whose_question_held_a_secret_is_masked_and_still_true() -> None:
    event = read(q="text:AKIAABCDEFGHIJKLMNOP", password="hunter2")
    assert b"hunter2" not in orjson.dumps(event)
    assert marks(event) == {READ}


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": "another"},
        {"user": "mallory"},
        {"tenant": "acme"},
        {"timestamp": "2025-10-11T14:23:15Z"},
        {"action": "audit.events.exported"},
        {"action": "audit.case.created"},
        {"details": {"rows": 1}},
    ],
)
def test_a_read_that_was_moved_or_changed_is_forged(change: dict[str, Any]) -> None:
    assert marks(read() | change) == {FORGED}


def test_a_producer_that_takes_the_action_of_a_read_hides_nothing() -> None:
    event = {"timestamp": "2025-10-11T14:23:15Z", "user": "mallory"}
    assert marks(event | {"action": "audit.events.viewed"}) == {FORGED}
    assert marks(event | {"action": "a.b", "tenant": TENANT}) == {FORGED}
    assert marks(event | {"action": "a.b"}) == set()


def test_a_console_with_another_key_leaves_reads_that_all_see() -> None:
    assert marks(read(key=b"other")) == {FORGED}
    assert marks(read(key=b"")) == {FORGED}
    assert marks(read(), key=b"") == {FORGED}


def test_a_forged_read_is_riskier_than_a_true_one() -> None:
    true, forged = record_of(read()), record_of(read() | {"event_id": "x"})
    assert forged["risk_score"] == true.get("risk_score", 0) + 20
