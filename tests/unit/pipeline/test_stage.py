"""Stage 1 by worked example: the three events of the seed, and every way to go wrong."""

import json
import shlex
from base64 import b64decode
from collections.abc import Sequence
from hashlib import sha256

import orjson
import pytest

from detections.rule import Derived, Fields, Finding, Hidden, Verdict
from pipeline.run import Output, Run
from pipeline.stage import FINDINGS_MAX, Stage, Where
from schemas.alert import Alert
from schemas.errors import Broken
from tests.unit.pipeline.judging import (
    CHANGE,
    DAY_MS,
    EXPORT,
    INCARNATION,
    LOGIN,
    LOOKUPS,
    PLACE,
    RECORDED_MS,
    Plain,
    Raw,
    Silent,
    make_stage,
    row_of,
    run_one,
)


def test_the_seeds_login_comes_out_complete() -> None:
    stage = make_stage()
    assert row_of(stage, LOGIN) == PLACE | {
        "tenant": "default",
        "occurred": "2025-10-11 14:23:15",
        "event_id": "mXvG0bqm-2-41",
        "user": "jane.doe@company.com",
        "action": "authentication.login.success",
        "result": "success",
        "ip_address": "203.0.113.42",
        "session_id": "sess_abc123",
        "category": "authentication",
        "verb": "login",
        "department": "support",
        "user_status": "active",
        "data_class": "identity",
        "retention_class": "security",
        "retain_until": "2027-10-11",
        "risk_score": 5,
        "flags": ["delayed", "off_hours"],
        "versions": stage.versions,
        "raw": orjson.dumps(LOGIN).decode(),
    }


def test_the_seeds_export_comes_out_complete_with_its_alerts() -> None:
    stage = make_stage()
    output = run_one(stage, EXPORT)
    assert json.loads(output.records[0].value) == PLACE | {
        "tenant": "default",
        "occurred": "2025-10-11 14:30:00",
        "event_id": "mXvG0bqm-2-41",
        "user": "admin@company.com",
        "action": "data.export.completed",
        "result": "success",
        "resource": "voice_call_records",
        "ip_address": "203.0.113.42",
        "session_id": "sess_xyz789",
        "category": "export",
        "verb": "export",
        "data_class": "phi",
        "retention_class": "hipaa",
        "retain_until": "2031-10-11",
        "severity": "high",
        "risk_score": 25 + 10 + 5 + 30 + 20,
        "flags": ["protected", "delayed", "off_hours"],
        "rules": ["protected-data-out-of-hours", "mass-export"],
        "versions": stage.versions,
        "raw": orjson.dumps(EXPORT).decode(),
    }
    alerts = [Alert.model_validate_json(alert.value) for alert in output.alerts]
    assert [alert.rule_id for alert in alerts] == ["protected-data-out-of-hours", "mass-export"]
    mass = alerts[1]
    assert output.alerts[1].key.decode() == mass.alert_id
    assert mass.summary == (
        "admin@company.com exported 1,523 records (12.4 MB) of voice_call_records."
    )
    assert mass.event_ids == ("mXvG0bqm-2-41",)
    assert mass.group == f"{INCARNATION}-audit.events-2-41"
    assert (mass.occurred, mass.recorded) == ("2025-10-11T14:30:00Z", "2025-10-11T15:46:40.123Z")
    assert not mass.historical
    assert "audit search --session sess_xyz789" in mass.runbook


def test_the_seeds_change_comes_out_complete() -> None:
    row = row_of(make_stage(), CHANGE)
    assert (row["changed"], row["before"], row["after"]) == (
        ["details"],
        ['"90 days"'],
        ['"180 days"'],
    )
    assert (row["category"], row["verb"], row["severity"]) == ("configuration", "update", "medium")
    assert (row["data_class"], row["retain_until"]) == ("phi", "2031-10-11")
    assert row["result"] == "success"
    assert row["rules"] == ["admin-change-out-of-hours"]  # it was a Saturday


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "message:null"),
        (b"", "message:empty"),
        (b"\xef\xbb\xbf{}", "message:bom"),
        (b"\xff", "message:not_utf8"),
        (b"{", "message:not_json"),
        (b"[]", "message:not_object"),
        (b"x" * 262_145, "message:too_large"),
        (orjson.dumps(LOGIN | {"ip_address": "localhost"}), "ip_address:invalid"),
        (orjson.dumps(LOGIN | {"timestamp": "2025-02-30T00:00:00Z"}), "timestamp:invalid"),
        (orjson.dumps(LOGIN | {"timestamp": "2300-01-01T00:00:00Z"}), "timestamp:out_of_range"),
        (orjson.dumps(LOGIN | {"user": 7}), "user:type"),
    ],
)
def test_a_bad_message_is_kept_with_its_reason(raw: bytes | None, reason: str) -> None:
    stage = make_stage()
    output = run_one(stage, raw)
    row = json.loads(output.records[0].value)
    assert row["reason"] == reason
    assert row["hint"]
    assert row["versions"] == stage.versions
    assert {name: row[name] for name in PLACE} == PLACE
    assert row.get("size", 0) == len(raw or b"")
    assert b64decode(row.get("raw_base64", "")) == (raw or b"")
    assert output.alerts == []
    assert output.records[0].headers == (("coverage", b"q:mXvG0bqmS5e4fXk6yBHzVA:41:41"),)
    assert (stage.tally.accepted, stage.tally.rejected, stage.tally.bugs) == (0, 1, 0)


class Buggy(Plain):
    """Fails with an error that holds a value of the event."""

    version = "buggy"

    def __init__(self, bug: type[BaseException]) -> None:
        self._bug = bug

    def detect(self, fields: Fields, _derived: Derived) -> Sequence[Finding]:
        if fields["user"] == "poison":
            raise self._bug("hunter2")
        return ()


def test_a_bug_on_one_event_quarantines_it_and_goes_on() -> None:
    seen: list[tuple[str, str]] = []
    stage = Stage(
        LOOKUPS,
        Buggy(KeyError),
        lambda _topic: INCARNATION,
        on_bug=lambda bug, where: seen.append((type(bug).__name__, where)),
    )
    events = [orjson.dumps(LOGIN | {"user": user}) for user in ("a", "poison", "b")]
    raws = [Raw(at, RECORDED_MS, None, event) for at, event in enumerate(events)]

    records = stage(Run("audit.events", 2, 0, raws)).records

    rows = [json.loads(record.value) for record in records]
    assert [row.get("reason") for row in rows] == [None, "pipeline:bug", None]
    assert rows[1]["hint"].startswith("KeyError in ")
    assert b"hunter2" not in records[1].value
    assert b64decode(rows[1]["raw_base64"]) == events[1]
    assert seen == [("KeyError", "audit.events-2-1")]
    assert (stage.tally.accepted, stage.tally.rejected, stage.tally.bugs) == (2, 1, 1)


@pytest.mark.parametrize("fault", [MemoryError, KeyboardInterrupt, SystemExit])
def test_what_says_nothing_of_the_event_is_not_blamed_on_it(fault: type[BaseException]) -> None:
    with pytest.raises(fault):
        run_one(make_stage(Buggy(fault)), LOGIN | {"user": "poison"})


def test_an_incarnation_with_a_colon_stops_the_run() -> None:
    stage = Stage(LOOKUPS, Silent(), lambda _topic: "a:b")
    with pytest.raises(Broken):
        run_one(stage, LOGIN)


@pytest.mark.parametrize(("age_ms", "is_old"), [(DAY_MS, False), (DAY_MS + 1, True)])
def test_an_alert_on_what_is_long_past_is_historical(age_ms: int, *, is_old: bool) -> None:
    raw = Raw(0, 1_760_193_000_000 + age_ms, None, orjson.dumps(EXPORT))
    output = make_stage()(Run("audit.events", 2, 0, [raw]))
    assert Alert.model_validate_json(output.alerts[0].value).historical == is_old


class Eager(Plain):
    """Finds more than it should, with texts to fool a terminal."""

    version = "eager"

    def detect(self, _fields: Fields, _derived: Derived) -> Sequence[Finding]:
        text = "\x1b[2J\u202etoken=abcdef123456 " + "x" * 5_000
        return [
            Finding(f"r{n}", 1, "critical", text, text, 90, ("t",), "audit search --user {user}")
            for n in range(FINDINGS_MAX + 5)
        ]


def test_alerts_are_bounded_in_number_and_text_and_are_plain() -> None:
    output = run_one(make_stage(Eager()), LOGIN | {"user": "$(reboot)'; \x1b[0m"})
    assert len(output.alerts) == FINDINGS_MAX
    alert = Alert.model_validate_json(output.alerts[0].value)
    assert "abcdef123456" not in alert.summary
    for text in (alert.summary, alert.title, alert.runbook):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert alert.runbook == "audit search --user " + shlex.quote("$(reboot)';  [0m")
    row = json.loads(output.records[0].value)
    assert (row["severity"], row["risk_score"]) == ("critical", 100)
    assert len({alert.key for alert in output.alerts}) == FINDINGS_MAX


class Unsorted(Plain):
    """Finds more than it should, the worst last."""

    version = "unsorted"

    def detect(self, _fields: Fields, _derived: Derived) -> Sequence[Finding]:
        low = [Finding(f"r{n:02}", 1, "low", "t", "s", 1, (), "") for n in range(FINDINGS_MAX + 3)]
        return [*reversed(low), Finding("z", 1, "critical", "t", "s", 90, (), "")]


def test_of_too_many_findings_the_worst_are_kept_and_the_rest_is_counted() -> None:
    stage = make_stage(Unsorted())
    output = run_one(stage, LOGIN)
    kept = json.loads(output.records[0].value)["rules"]
    assert kept == ["z", *(f"r{n:02}" for n in range(FINDINGS_MAX - 1))]
    assert [Alert.model_validate_json(out.value).rule_id for out in output.alerts] == kept
    assert stage.tally.cut == 4


class Lenient(Plain):
    """Has one finding, which an exception hides."""

    version = "lenient"

    def judge(self, _fields: Fields, _derived: Derived) -> Verdict:
        found = Finding("guess", 3, "high", "A guess", "Jane guessed.", 40, (), "", "It hurts.")
        silent = Hidden("base", "agreed-with-jane")
        return Verdict((), (), [Hidden("guess", "agreed-with-jane", found), silent])


def test_what_an_exception_hides_is_told_as_suppressed_and_is_no_finding_of_the_record() -> None:
    stage = make_stage(Lenient())
    output = run_one(stage, LOGIN)
    (out,) = output.alerts
    alert = Alert.model_validate_json(out.value)
    assert (alert.rule_id, alert.suppressed_by) == ("guess", "agreed-with-jane")
    assert (alert.why, alert.rule_set) == ("It hurts.", "lenient")
    assert "rules" not in json.loads(output.records[0].value)
    assert stage.tally.hidden == {"agreed-with-jane": 2}


class Forgiven(Plain):
    """Finds more than it should, all of it hidden."""

    version = "forgiven"

    def judge(self, _fields: Fields, _derived: Derived) -> Verdict:
        found = [Finding(f"r{n}", 1, "low", "t", "s", 1, (), "") for n in range(FINDINGS_MAX + 3)]
        return Verdict((), (), [Hidden(each.rule_id, "all", each) for each in found])


def test_alerts_of_what_exceptions_hide_are_bounded_and_the_rest_is_counted() -> None:
    stage = make_stage(Forgiven())
    assert len(run_one(stage, LOGIN).alerts) == FINDINGS_MAX
    assert (stage.tally.cut, stage.tally.hidden) == (3, {"all": FINDINGS_MAX + 3})


def test_coverage_starts_at_the_position_and_follows_the_offsets() -> None:
    stage = make_stage(Silent())
    raws = [Raw(offset, RECORDED_MS, None, b"{}") for offset in (7, 8, 12)]
    headers = [record.headers[0][1] for record in stage(Run("audit.events", 0, 5, raws)).records]
    start = b"q:mXvG0bqmS5e4fXk6yBHzVA:"
    assert headers == [start + b"5:7", start + b"8:8", start + b"9:12"]


def test_an_empty_run_gives_nothing() -> None:
    assert make_stage()(Run("audit.events", 0, 5, [])) == Output([], [])


def test_one_record_judged_alone_is_as_in_its_run() -> None:
    stage = make_stage()
    raw = orjson.dumps(EXPORT)
    judged = stage.judge(raw, Where(INCARNATION, "audit.events", 2, 41), RECORDED_MS)
    output = run_one(stage, raw)
    assert judged.line == output.records[0].value
    assert [alert.alert_id.encode() for alert in judged.alerts] == [a.key for a in output.alerts]


@pytest.mark.parametrize("size", [1_048_576, 2_097_152])
def test_a_large_message_is_kept_whole(size: int) -> None:
    raw = b"x" * size
    row = json.loads(run_one(make_stage(), raw).records[0].value)
    assert (row["reason"], row["size"]) == ("message:too_large", size)
    assert b64decode(row["raw_base64"]) == raw


def test_a_message_beyond_the_brokers_bound_is_cut_and_told_by_its_hash() -> None:
    raw = b"{}" + b" " * 2_097_151
    record = run_one(make_stage(), raw).records[0]
    row = json.loads(record.value)
    assert (row["reason"], row["size"]) == ("message:too_large", len(raw))
    assert b64decode(row["raw_base64"]) == raw[:65_536]
    assert row["hint"] == f"kept: first 64 KiB; sha256 {sha256(raw).hexdigest()}"
    assert len(record.value) < 100_000


@pytest.mark.parametrize(("size", "kept"), [(1_048_576, 1_048_576), (1_048_577, 0)])
def test_a_key_that_would_block_the_output_is_left_out(size: int, kept: int) -> None:
    raw = Raw(0, RECORDED_MS, b"k" * size, b"x" * 2_097_152)
    (record,) = make_stage()(Run("audit.events", 2, 0, [raw])).records
    assert len(record.key or b"") == kept
    assert len(record.value) + len(record.key or b"") < 4_194_304
