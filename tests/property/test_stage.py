"""The laws of stage 1: total, one in one out, in order, covered, repeatable, verbatim."""

import itertools
import json
import random
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.rules_shared import load
from detections.sigma.detector import SigmaDetector
from pipeline.client import ClientParser
from pipeline.directory import Directory, Person
from pipeline.enrich import Lookups, Terms
from pipeline.lookups import default_policy
from pipeline.run import OutRecord, Run
from pipeline.stage import KEPT_BYTES, Stage, Where
from schemas.alert import Alert
from schemas.record import ACCEPTED, COVERAGE_HEADER, REJECTED, Coverage, decode_coverage, judge
from schemas.tables import EVENT_COLUMNS, QUARANTINE_COLUMNS
from schemas.topics import EVENTS_MESSAGE_BYTES_MAX, RECORDS_MESSAGE_BYTES_MAX
from tests.corpus import NAMES, SECRETS, TEXTS, VALID, hand_made, hostile_messages

INCARNATION = "mXvG0bqmS5e4fXk6yBHzVA"
RECORDED_MS = 1_760_192_600_123
LOOKUPS = Lookups(
    default_policy(),
    clients=ClientParser(),
    directory=Directory({"jane.doe@company.com": Person("agent", "support", "left")}, "test"),
)


class Raw:
    """A record as stage 1 sees it."""

    def __init__(self, offset: int, value: bytes | None, key: bytes | None = b"key") -> None:
        self.offset = offset
        self.timestamp = RECORDED_MS + offset
        self.key = key
        self.value = value


RULES = SigmaDetector(load(()).ruleset)


def make_stage(**terms: Any) -> Stage:
    def raise_bug(bug: Exception, _where: str) -> None:
        raise AssertionError("a bug in stage 1") from bug

    return Stage(LOOKUPS, RULES, lambda _topic: INCARNATION, Terms(**terms), raise_bug)


STAGE = make_stage()


def process(stage: Stage, raws: Sequence[Raw], position: int) -> list[OutRecord]:
    return stage(Run("audit.events", 3, position, raws)).records


def check_record(raw: bytes | None, record: OutRecord) -> dict[str, Any]:
    """Hold one record to what the sink relies on; return its row."""
    assert record.value.startswith(b'{"')
    assert b"\n" not in record.value
    assert b"\r" not in record.value
    assert len(record.value) + len(record.key or b"") < RECORDS_MESSAGE_BYTES_MAX
    row: dict[str, Any] = json.loads(record.value)  # strict: refuses what orjson might not
    ((name, header),) = record.headers
    assert name == COVERAGE_HEADER
    kind = decode_coverage(header).kind
    if kind == ACCEPTED:
        assert row.keys() <= set(EVENT_COLUMNS)
        assert row["raw"].encode() == raw
        assert 0 <= row.get("risk_score", 1) <= 100
        assert len(row.get("changed", [])) == len(row.get("before", []))
        assert len(row.get("changed", [])) == len(row.get("after", []))
        for text in (*row.get("before", []), *row.get("after", [])):
            assert text == "" or json.loads(text) is not ...
    else:
        assert kind == REJECTED
        assert row.keys() <= set(QUARANTINE_COLUMNS)
        kept = raw if len(raw or b"") <= EVENTS_MESSAGE_BYTES_MAX else (raw or b"")[:KEPT_BYTES]
        assert b64decode(row["raw_base64"]) == kept if raw else "raw_base64" not in row
        assert row.get("size", 0) == len(raw or b"")
        assert row["reason"].count(":") == 1
        assert row["reason"] != "pipeline:bug"
    assert (row["incarnation"], row["topic"], row["partition"]) == (INCARNATION, "audit.events", 3)
    return row


def test_every_hostile_message_becomes_exactly_one_record() -> None:
    messages = hostile_messages(seed=1, count=10_000)
    raws = [Raw(offset, message) for offset, message in enumerate(messages)]

    records = process(STAGE, raws, 0)

    assert len(records) == len(raws)
    kinds = {ACCEPTED: 0, REJECTED: 0}
    for raw, record in zip(raws, records, strict=True):
        row = check_record(raw.value, record)
        assert row["offset"] == raw.offset
        kinds[decode_coverage(record.headers[0][1]).kind] += 1
    assert min(kinds.values()) > 1_000  # the corpus tries both ways


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    assert hostile_messages(3, 2_000) == hostile_messages(3, 2_000)
    assert hostile_messages(3, 2_000) != hostile_messages(4, 2_000)


@given(raw=st.one_of(st.none(), st.binary(max_size=4096)))
def test_any_bytes_become_one_record(raw: bytes | None) -> None:
    (record,) = process(STAGE, [Raw(7, raw)], 7)

    check_record(raw, record)


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), TEXT, st.sampled_from(TEXTS),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(TEXT, st.sampled_from(["before", "after", "token", "role", "days"])),
            inner, max_size=4,
        ),
    ),
    max_leaves=20,
)  # fmt: skip
EVENTS = st.fixed_dictionaries(
    {"user": TEXT.filter(bool), "details": st.dictionaries(TEXT, JSON, max_size=4)},
    optional={
        name: st.one_of(TEXT, st.none())
        for name in NAMES
        if name not in ("timestamp", "user", "action", "ip_address", "result", "details")
    },
).map(lambda event: VALID | event)


@settings(max_examples=200)
@given(event=EVENTS)
def test_any_event_becomes_one_record_with_its_bytes(event: dict[str, Any]) -> None:
    raw = orjson.dumps(event)

    (record,) = process(STAGE, [Raw(7, raw)], 7)

    check_record(raw, record)


@settings(max_examples=50)
@given(
    gaps=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    position=st.integers(0, 2**40),
    data=st.data(),
)
def test_coverage_leaves_no_hole_and_no_overlap(
    gaps: list[int], position: int, data: st.DataObject
) -> None:
    raws, offset = [], position
    for gap in gaps:
        raws.append(Raw(offset + gap, orjson.dumps(VALID)))
        offset += gap + 1
    cut = data.draw(st.integers(0, len(raws)))

    records = process(STAGE, raws[:cut], position)
    records += process(STAGE, raws[cut:], raws[cut - 1].offset + 1 if cut else position)

    expected = position
    for raw, record in zip(raws, records, strict=True):
        coverage = decode_coverage(record.headers[0][1])
        assert coverage == Coverage(ACCEPTED, INCARNATION, expected, raw.offset)
        assert judge(expected, coverage.from_, coverage.origin) == "next"
        assert (record.key, record.timestamp_ms) == (raw.key, raw.timestamp)
        expected = raw.offset + 1


def test_the_same_bytes_give_the_same_records_however_they_are_cut() -> None:
    raws = [Raw(at, value) for at, value in enumerate(hostile_messages(seed=5, count=1_500))]
    whole = process(STAGE, raws, 0)
    random_ = random.Random(11)
    for _ in range(3):
        stage = make_stage()  # another process, other caches
        cuts = sorted({0, len(raws), *(random_.randrange(len(raws)) for _ in range(7))})
        pieces: list[OutRecord] = []
        for start, end in itertools.pairwise(cuts):
            pieces += process(stage, raws[start:end], start)
        assert pieces == whole


def test_alerts_are_the_same_when_a_run_is_repeated() -> None:
    run = Run("audit.events", 0, 0, [Raw(0, _event(action="security.audit.disabled"))])

    first, second = STAGE(run).alerts, make_stage()(run).alerts

    assert first
    assert first == second
    assert Alert.model_validate_json(first[0].value).alert_id.encode() == first[0].key


def test_no_judgement_changes_when_replayed_alone() -> None:
    messages = hostile_messages(seed=6, count=1_000)
    records = process(STAGE, [Raw(at, value) for at, value in enumerate(messages)], 0)
    for at, record in enumerate(records):
        where = Where(INCARNATION, "audit.events", 3, at)
        judged = STAGE.judge(messages[at], where, RECORDED_MS + at, b"key")
        assert judged.line == record.value


def _event(**fields: Any) -> bytes:
    return orjson.dumps(VALID | fields)


PLACES = [name for name in NAMES if name not in
          ("timestamp", "action", "result", "ip_address", "tenant",
           "event_id", "session_id", "request_id")]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("name", PLACES)
def test_a_secret_stands_in_no_column_but_raw(name: str, secret: str) -> None:
    text = f"it was {secret} then"
    shapes: list[Any] = [text]
    if name == "details":
        shapes = [
            {"note": text},
            {"password": "hunter2-" + secret},
            {"list": [{"deep": text}]},
            {"before": text, "after": {"x": secret}},
            {"api_key": {"before": "hunter2-" + secret, "after": "x"}},
        ]
    for value in shapes:
        raw = _event(**{name: value})
        output = STAGE(Run("audit.events", 3, 0, [Raw(0, raw)]))
        row = check_record(raw, output.records[0])
        assert "secret_masked" in row["flags"]
        del row["raw"]
        assert secret not in json.dumps(row)
        assert "hunter2" not in json.dumps(row)
        assert all(secret.encode() not in alert.value for alert in output.alerts)


@settings(max_examples=20)
@given(
    start=st.binary(max_size=64),
    size=st.integers(-2, 2).map(lambda near: EVENTS_MESSAGE_BYTES_MAX + near)
    | st.sampled_from([1_048_576, 2 * EVENTS_MESSAGE_BYTES_MAX, 16 * EVENTS_MESSAGE_BYTES_MAX]),
    key_bytes=st.sampled_from([0, 1_048_576, 16_777_216]),
)
def test_what_unfolds_beyond_all_bounds_is_one_small_record(
    start: bytes, size: int, key_bytes: int
) -> None:
    raw = start.ljust(size)

    (record,) = process(STAGE, [Raw(7, raw, b"k" * key_bytes)], 7)

    assert check_record(raw, record)["reason"] == "message:too_large"


def test_the_largest_lines_fit_the_broker() -> None:
    sizes = [len(process(STAGE, [Raw(0, raw)], 0)[0].value) for raw in hand_made()]

    assert max(sizes) < RECORDS_MESSAGE_BYTES_MAX


def test_a_huge_key_sends_a_large_event_to_quarantine_instead_of_blocking() -> None:
    raw = _event(details={"pin": 1, "s": '"' * 60_000})
    key = b"k" * 3_900_000

    (record,) = process(STAGE, [Raw(0, raw, key)], 0)

    row = json.loads(record.value)
    assert row["reason"] == "message:too_large_enriched"
    assert b64decode(row["raw_base64"]) == raw
