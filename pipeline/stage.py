"""Stage 1: for every raw record exactly one record, whatever its bytes are. Pure.

A record is a function of its raw bytes, its coordinates, the broker's time, and the lookups and
settings whose versions it carries.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from detections.rule import Detector, Finding
from pipeline.enrich import Enricher, Lookups, Terms
from pipeline.line import to_members
from pipeline.moment import stamp
from pipeline.notice import to_alert
from pipeline.risk import raise_severity, score
from pipeline.run import OutAlert, Output, OutRecord, Run
from schemas.alert import Alert, Severity
from schemas.errors import BadEvent, Broken
from schemas.event import decode
from schemas.record import ACCEPTED, COVERAGE_HEADER, REJECTED
from schemas.topics import EVENTS_MESSAGE_BYTES_MAX, RECORDS_MESSAGE_BYTES_MAX

PIPELINE_VERSION: Final = 1  # raise it when the same event would give another record
FINDINGS_MAX: Final = 16  # of one event; a detector that finds more has a fault
GRADES_CACHED_MAX: Final = 1_024  # severities times results times sets of flags
LINE_BYTES_MAX: Final = RECORDS_MESSAGE_BYTES_MAX - 65_536  # the rest frames key and headers
KEPT_BYTES: Final = 65_536  # of a message that no honest publisher can have sent
KEY_BYTES_MAX: Final = 1_048_576  # with it the longest line of quarantine still fits a record


class Where(NamedTuple):
    """The coordinates of one raw record."""

    incarnation: str
    topic: str
    partition: int
    offset: int


class Source(NamedTuple):
    """What all records of a run share: as columns, and as the members of a line."""

    columns: dict[str, Any]
    members: str


class Judged(NamedTuple):
    """What becomes of one raw record: its kind, its line and the alerts about it."""

    kind: str
    line: bytes
    alerts: list[Alert]


# The fields of `Judged`, bare: a named tuple takes five times as long to make.
_Parts = tuple[str, bytes, list[Alert]]


class Tally:
    """What a stage has done since it was made; counts only grow."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.bugs = 0
        self.alerts = 0


class Stage:
    """Judges records by the lookups that it holds; `use` gives it others between two runs.

    `incarnation_of` names a topic's incarnation (Kafka's topic id). `on_bug` is told what failed
    and at which coordinates, for a log: the record itself goes to quarantine as `pipeline:bug`.
    """

    def __init__(
        self,
        lookups: Lookups,
        detector: Detector,
        incarnation_of: Callable[[str], str],
        terms: Terms | None = None,
        on_bug: Callable[[Exception, str], None] = lambda _bug, _where: None,
    ) -> None:
        self._detector = detector
        self._incarnation_of = incarnation_of
        self._terms = terms or Terms()
        self._on_bug = on_bug
        self.tally: Final = Tally()
        self.use(lookups)

    def use(self, lookups: Lookups) -> None:
        """Judge by these lookups from the next record on; all memories of the old ones go."""
        self._enricher = Enricher(lookups, self._terms)
        self.versions = (
            f"pipeline={PIPELINE_VERSION} rules={self._detector.version} {lookups.version}"
            f" terms={self._terms.version}"
        )

    def __call__(self, run: Run) -> Output:
        """Give one record per raw record, in order. Total."""
        incarnation = self._incarnation_of(run.topic)
        if ":" in incarnation:
            raise Broken("an incarnation with a colon can't stand in a coverage header")
        source = self._source(incarnation, run.topic, run.partition)
        expected = run.position
        records: list[OutRecord] = []
        alerts: list[OutAlert] = []
        for raw in run.records:
            offset, key, timestamp_ms = raw.offset, raw.key, max(raw.timestamp, 0)
            kind, line, found = self._judge(raw.value, source, offset, timestamp_ms, key)
            coverage = f"{kind}:{incarnation}:{expected}:{offset}".encode()
            headers = ((COVERAGE_HEADER, coverage),)
            if key is not None and len(key) > KEY_BYTES_MAX:
                key = None  # the coverage tells the place; a key only helps tools
            records.append(OutRecord(timestamp_ms, key, line, headers))
            for alert in found:
                value = alert.model_dump_json().encode()
                alerts.append(OutAlert(alert.alert_id.encode(), value))
            expected = offset + 1
        return Output(records, alerts)

    def judge(
        self, raw: bytes | None, where: Where, recorded_ms: int, key: bytes | None = None
    ) -> Judged:
        """Judge one record as a run of it would be: for replays of what was rejected before."""
        source = self._source(where.incarnation, where.topic, where.partition)
        return Judged(*self._judge(raw, source, where.offset, max(recorded_ms, 0), key))

    def _source(self, incarnation: str, topic: str, partition: int) -> Source:
        columns = {
            "versions": self.versions,
            "incarnation": incarnation,
            "topic": topic,
            "partition": partition,
        }
        return Source(columns, to_members(columns).decode())

    def _judge(
        self,
        raw: bytes | None,
        source: Source,
        offset: int,
        recorded_ms: int,
        key: bytes | None,
    ) -> _Parts:
        """Accept or reject one raw record. Total: a bug of ours rejects it too, and is counted."""
        try:
            kind, line, alerts = self._accept(raw, source, offset, recorded_ms)
            _check_size(len(line) + len(key or b""))
        except BadEvent as bad:
            return self._reject(raw, source, offset, recorded_ms, bad)
        except MemoryError:
            raise  # says nothing of the event: the process must die and try again
        except Exception as bug:  # noqa: BLE001 - one event must never block its partition
            self.tally.bugs += 1
            self._on_bug(bug, f"{source.columns['topic']}-{source.columns['partition']}-{offset}")
            fault = BadEvent("pipeline", "bug", _place_of(bug))
            return self._reject(raw, source, offset, recorded_ms, fault)
        self.tally.accepted += 1
        self.tally.alerts += len(alerts)
        return kind, line, alerts

    def _accept(self, raw: bytes | None, source: Source, offset: int, recorded_ms: int) -> _Parts:
        fields = decode(raw)
        assert raw is not None, "decode refuses null"
        columns, derived, flags, severity, occurred_ms = self._enricher.enrich(
            fields, raw, recorded_ms
        )
        findings = self._detector.detect(fields, derived)[:FINDINGS_MAX]
        grade = _grade if findings else _grade_plain
        parts = (
            *columns,
            grade(severity, derived.result, flags, findings or ()),
            b"" if fields.get("event_id") else _made_id(source, offset),
            f'{source.members},"offset":{offset},"recorded":"{stamp(recorded_ms)}","raw":'.encode(),
            orjson.dumps(raw.decode()),
            b"}",
        )
        line = b"".join(parts)
        if not findings:
            return ACCEPTED, line, []
        row = orjson.loads(line)
        historical = recorded_ms - occurred_ms > self._terms.historical_ms_min
        alerts = [to_alert(finding, row, historical=historical) for finding in findings]
        return ACCEPTED, line, alerts

    def _reject(
        self,
        raw: bytes | None,
        source: Source,
        offset: int,
        recorded_ms: int,
        bad: BadEvent,
    ) -> _Parts:
        self.tally.rejected += 1
        row: dict[str, Any] = {"reason": bad.reason, **source.columns, "offset": offset}
        row["recorded"] = stamp(recorded_ms)
        hint, kept = bad.hint, raw
        if raw and len(raw) > EVENTS_MESSAGE_BYTES_MAX:
            # the broker's bound is on compressed bytes: a message may unfold to gigabytes
            kept = raw[:KEPT_BYTES]
            hint = f"kept: first {KEPT_BYTES // 1024} KiB; sha256 {sha256(raw).hexdigest()}"
        if hint:
            row["hint"] = hint
        if raw and kept:
            row["size"] = len(raw)
            row["raw_base64"] = b64encode(kept).decode()
        return REJECTED, orjson.dumps(row), []


def _grade(
    severity: Severity, result: str, flags: tuple[str, ...], findings: Sequence[Finding]
) -> bytes:
    """Write how grave the event is and why."""
    columns: dict[str, Any] = {}
    if risk_score := score(severity, result, flags, findings):
        columns["risk_score"] = risk_score
    if findings:
        severity = raise_severity(severity, result, findings)
        columns["rules"] = [finding.rule_id for finding in findings]
    if severity != "info":
        columns["severity"] = severity
    if flags:
        columns["flags"] = flags
    return to_members(columns)


_grade_plain: Final = lru_cache(maxsize=GRADES_CACHED_MAX)(_grade)  # of what no rule found


def _made_id(source: Source, offset: int) -> bytes:
    """Name an event that brings no id by where it lies."""
    incarnation, partition = source.columns["incarnation"], source.columns["partition"]
    return to_members({"event_id": f"{incarnation[:8]}-{partition}-{offset}"})


def _check_size(size: int) -> None:
    if size > LINE_BYTES_MAX:
        raise BadEvent("message", "too_large_enriched", "send a smaller key or event")


def _place_of(bug: Exception) -> str:
    """Name the kind of a bug and the line it comes from; never its text, which may hold values."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(bug).__name__
    module = trace.tb_frame.f_globals.get("__name__", "?")
    return f"{type(bug).__name__} in {module}, line {trace.tb_lineno}"
