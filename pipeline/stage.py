"""Stage 1: for every raw record exactly one record, whatever its bytes are. Pure.

A record is a function of its raw bytes, its coordinates, the broker's time, and the lookups and
settings whose versions it carries.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from detections.rule import NOTHING, Detector, Fields, Finding, Hidden
from detections.stateful.alerts import DEFAULT_TENANT
from detections.stateful.extractor import Extractor, Origin
from pipeline.enrich import Enricher, Lookups, Terms
from pipeline.line import to_members
from pipeline.moment import stamp
from pipeline.notice import to_alert
from pipeline.risk import raise_severity, score
from pipeline.run import OutAlert, Output, OutRecord, OutSignal, Run
from pipeline.signal_cut import to_messages
from schemas.alert import SEVERITIES, Alert, Severity
from schemas.canary import CANARY, rule_of, run_of, run_tenant
from schemas.errors import BadEvent, Broken
from schemas.event import decode
from schemas.record import ACCEPTED, COVERAGE_HEADER, REJECTED, encode_coverage
from schemas.secrets import find_clean, mask_text
from schemas.signal import TEXT_MAX, bound_text
from schemas.topics import EVENTS_MESSAGE_BYTES_MAX, RECORDS_MESSAGE_BYTES_MAX

PIPELINE_VERSION: Final = 3  # raise it when the same event would give another record
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
    members: bytes


class Judged(NamedTuple):
    """What becomes of one raw record: its kind, its line and the alerts about it."""

    kind: str
    line: bytes
    alerts: list[Alert]


# The fields of `Judged`, bare: a named tuple takes five times as long to make.
_Parts = tuple[str, bytes, list[Alert]]
# Of a raw record its offset, the broker's time in ms, key and value.
_Row = tuple[int, int, bytes | None, bytes | None]


class Tally:
    """What a stage has done since it was made; counts only grow."""

    def __init__(self) -> None:
        self.accepted = 0
        self.rejected = 0
        self.bugs = 0
        self.alerts = 0
        self.signals = 0
        self.untold: Counter[str] = Counter()  # events that rules with a memory never hear of: why
        self.hidden: Counter[str] = Counter()  # findings that an exception hid, by its id
        self.cut = 0  # findings left out, as one event had too many


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
        self._extractor: Extractor | None = None
        self._incarnation_of = incarnation_of
        self._terms = terms or Terms()
        self._on_bug = on_bug
        self.tally: Final = Tally()
        self.use(lookups)

    def use(self, lookups: Lookups) -> None:
        """Judge by these lookups from the next record on; all memories of the old ones go."""
        self._enricher = Enricher(lookups, self._terms)
        self._lookups_version = lookups.version
        self._name_versions()

    def use_detector(self, detector: Detector, extractor: Extractor | None = None) -> None:
        """Judge by these rules from the next run on; without `extractor` nothing is signalled."""
        self._detector = detector
        self._extractor = extractor
        self._name_versions()

    def _name_versions(self) -> None:
        self.versions = (
            f"pipeline={PIPELINE_VERSION} rules={self._detector.version} {self._lookups_version}"
            f" terms={self._terms.version}"
        )

    def __call__(self, run: Run) -> Output:
        """Give one record per raw record, in order. Total."""
        incarnation = self._incarnation_of(run.topic)
        if ":" in incarnation:
            raise Broken("an incarnation with a colon can't stand in a coverage header")
        source = self._source(incarnation, run.topic, run.partition)
        expected, rejected = run.position, self.tally.rejected
        records: list[OutRecord] = []
        alerts: list[OutAlert] = []
        rows = [(raw.offset, max(raw.timestamp, 0), raw.key, raw.value) for raw in run.records]
        for row, is_clean in zip(rows, find_clean([row[3] for row in rows]), strict=True):
            kind, line, found = self._judge(row, source, is_clean=is_clean)
            offset, timestamp_ms, key, _ = row
            coverage = encode_coverage(kind, incarnation, expected, offset)
            headers = ((COVERAGE_HEADER, coverage),)
            if key is not None and len(key) > KEY_BYTES_MAX:
                key = None  # the coverage tells the place; a key only helps tools
            records.append(tuple.__new__(OutRecord, (timestamp_ms, key, line, headers)))
            for alert in found:
                value = alert.model_dump_json().encode()
                alerts.append(OutAlert(alert.alert_id.encode(), value))
            expected = offset + 1
        self.tally.accepted += len(records) - (self.tally.rejected - rejected)
        self.tally.alerts += len(alerts)
        return Output(records, alerts, self._signals())

    def judge(
        self, raw: bytes | None, where: Where, recorded_ms: int, key: bytes | None = None
    ) -> Judged:
        """Judge one record as a run of it would be: for replays of what was rejected before."""
        source = self._source(where.incarnation, where.topic, where.partition)
        row = where.offset, max(recorded_ms, 0), key, raw
        judged = Judged(*self._judge(row, source, is_clean=False))
        self.tally.accepted += judged.kind == ACCEPTED
        self.tally.alerts += len(judged.alerts)
        return judged

    def _source(self, incarnation: str, topic: str, partition: int) -> Source:
        columns = {
            "versions": self.versions,
            "incarnation": incarnation,
            "topic": topic,
            "partition": partition,
        }
        return Source(columns, to_members(columns))

    def _judge(self, row: _Row, source: Source, *, is_clean: bool) -> _Parts:
        """Accept or reject one raw record. Total: a bug of ours rejects it too, and is counted.

        `is_clean` says that it certainly holds no secret.
        """
        offset, recorded_ms, key, raw = row
        try:
            accepted = self._accept(raw, source, offset, recorded_ms, is_clean=is_clean)
            _check_size(len(accepted[1]) + len(key or b""))
        except BadEvent as bad:
            return self._reject(raw, source, offset, recorded_ms, bad)
        except MemoryError:
            raise  # says nothing of the event: the process must die and try again
        except Exception as bug:  # noqa: BLE001 - one event must never block its partition
            self.tally.bugs += 1
            self._on_bug(bug, f"{source.columns['topic']}-{source.columns['partition']}-{offset}")
            fault = BadEvent("pipeline", "bug", _place_of(bug))
            return self._reject(raw, source, offset, recorded_ms, fault)
        return accepted

    def _accept(
        self, raw: bytes | None, source: Source, offset: int, recorded_ms: int, *, is_clean: bool
    ) -> _Parts:
        fields = decode(raw)
        assert raw is not None, "decode refuses null"
        columns, own, derived, flags, severity, occurred_ms = self._enricher.enrich(
            fields, raw, recorded_ms, is_clean=is_clean
        )
        verdict = self._detector.judge(fields, derived)
        findings = verdict.findings
        if len(findings) > FINDINGS_MAX:
            self.tally.cut += len(findings) - FINDINGS_MAX
            findings = _worst(findings)
        grade = _grade if findings else _grade_plain
        if "event_id" not in own:
            own["event_id"] = _made_id(source, offset)
        own["offset"] = offset
        own["recorded"] = stamp(recorded_ms)
        own["raw"] = raw.decode()
        parts = (
            *columns,
            grade(severity, derived.result, flags, findings or ()),
            source.members,
            b",",
            orjson.dumps(own)[1:],
        )
        line = b"".join(parts)
        if verdict is not NOTHING:
            if verdict.hidden:
                self.tally.hidden.update(hidden.exception_id for hidden in verdict.hidden)
            if self._extractor is not None:
                who = _who(fields, own["event_id"], is_clean=is_clean)
                place = source.columns["incarnation"], source.columns["partition"], offset
                tenant, only = fields.get("tenant") or DEFAULT_TENANT, ""
                if CANARY in flags:
                    tenant, only = run_tenant(run_of(own["event_id"])), rule_of(fields)
                origin = tuple.__new__(  # in half the time of its own constructor
                    Origin, (tenant, *place, occurred_ms, recorded_ms, who, only)
                )
                self._extractor.take(verdict.hits, findings, fields, derived, origin)
        if not findings and not verdict.hidden:
            return ACCEPTED, line, []
        is_historical = recorded_ms - occurred_ms > self._terms.historical_ms_min
        alerts = self._alerts(findings, verdict.hidden, line, is_historical=is_historical)
        return ACCEPTED, line, alerts

    def _alerts(
        self,
        findings: Sequence[Finding],
        hidden: Sequence[Hidden],
        line: bytes,
        *,
        is_historical: bool,
    ) -> list[Alert]:
        """Tell of what was found, and of what an exception hides: that is stored, never sent."""
        told = [(finding, "") for finding in findings]
        quiet = [(each.finding, each.exception_id) for each in hidden if each.finding]
        self.tally.cut += max(0, len(quiet) - FINDINGS_MAX)
        told += quiet[:FINDINGS_MAX]
        row = orjson.loads(line)
        return [
            to_alert(
                finding,
                row,
                historical=is_historical,
                rule_set=self._detector.version,
                suppressed_by=exception_id,
            )
            for finding, exception_id in told
        ]

    def _signals(self) -> Sequence[OutSignal]:
        """Return what the run tells rules with a memory."""
        if self._extractor is None:
            return ()
        signals: list[OutSignal] = []
        for signal in self._extractor.drain():
            try:
                signals += to_messages(signal)
            except (TypeError, ValueError) as bug:  # one group must never block the partition
                self.tally.bugs += 1
                self._on_bug(bug, f"{signal.rule} in partition {signal.partition}")
        self.tally.signals += len(signals)
        self.tally.untold.update(self._extractor.tally)
        self._extractor.tally.clear()
        return signals

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


def _worst(findings: Sequence[Finding]) -> list[Finding]:
    """Return as many as are kept, the most severe first: an order that no file's name decides."""
    ranked = sorted(findings, key=lambda one: (-SEVERITIES.index(one.severity), one.rule_id))
    return ranked[:FINDINGS_MAX]


_grade_plain: Final = lru_cache(maxsize=GRADES_CACHED_MAX)(_grade)  # of what no rule found


def _who(fields: Fields, event_id: str, *, is_clean: bool) -> tuple[str, str, str, str, str, str]:
    """Return what an alert will say of the event, bounded and without secrets."""
    get = fields.get
    if is_clean:  # and of these only a resource may be longer than what signals carry
        resource = get("resource") or ""
        if len(resource) > TEXT_MAX:
            resource = bound_text(resource)
        address, session = get("ip_address") or "", get("session_id") or ""
        return event_id, fields["user"], fields["action"], resource, address, session
    return (
        event_id,
        _bounded(fields["user"]),
        _bounded(fields["action"]),
        _bounded(fields.get("resource")),
        _bounded(fields.get("ip_address")),
        _bounded(fields.get("session_id")),
    )


def _bounded(text: str | None) -> str:
    return bound_text(mask_text(text)) if text else ""


def _made_id(source: Source, offset: int) -> str:
    """Name an event that brings no id by where it lies."""
    incarnation, partition = source.columns["incarnation"], source.columns["partition"]
    return f"{incarnation[:8]}-{partition}-{offset}"


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
