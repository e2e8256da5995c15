from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from consumers.sink.batch import BEHIND_FACTOR, BEHIND_MS, Backlog, Limits, body, month_of
from consumers.sink.intent import Position
from schemas.errors import Broken
from schemas.record import COVERAGE_HEADER, Coverage, encode_coverage

OCTOBER = 1_760_000_000_000
NOVEMBER = 1_762_000_000_000
LIMITS = Limits(rows_max=100, bytes_max=10_000, age_ms_max=500)
START = Position(0, "inc", 0)


@dataclass
class FakeRecord:
    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def record(
    offset: int,
    *,
    origin: int | None = None,
    from_: int | None = None,
    kind: str = "a",
    incarnation: str = "inc",
    timestamp: int = OCTOBER,
    value: bytes | None = b'{"x":1}',
) -> FakeRecord:
    at = offset if origin is None else origin
    coverage = Coverage(kind, incarnation, at if from_ is None else from_, at)
    return FakeRecord(offset, timestamp, value, ((COVERAGE_HEADER, encode_coverage(coverage)),))


def backlog_of(*records: FakeRecord, now_ms: int = 0) -> Backlog:
    backlog = Backlog()
    backlog.feed(records, now_ms, now_ms)
    return backlog


def test_accepted_and_rejected_records_are_one_batch() -> None:
    cut = backlog_of(record(0), record(1, kind="q"), record(2)).cut(START, LIMITS)

    assert cut.batch is not None
    assert (len(cut.batch.accepted), len(cut.batch.rejected), cut.batch.gaps) == (2, 1, 0)
    assert cut.position == Position(3, "inc", 3) == cut.batch.behind()


def test_repeats_are_left_out_and_counted() -> None:
    records = (record(0), record(1, origin=0), record(2, origin=1, from_=0))
    cut = backlog_of(*records).cut(START, LIMITS)

    assert cut.batch is not None
    assert (cut.batch.rows, cut.batch.repeats, cut.batch.origin_next) == (2, 1, 2)


def test_repeats_alone_move_the_position_and_make_no_batch() -> None:
    cut = backlog_of(record(7, origin=3)).cut(Position(7, "inc", 9), LIMITS)

    assert cut == (None, Position(8, "inc", 9), "", "")


def test_offsets_without_events_are_gaps() -> None:
    cut = backlog_of(record(0), record(1, origin=5, from_=1)).cut(START, LIMITS)

    assert cut.batch is not None
    assert (cut.batch.rows, cut.batch.gaps, cut.batch.origin_next) == (2, 4, 6)


def test_hole_ends_the_batch_and_is_told_once_nothing_is_before_it() -> None:
    backlog = backlog_of(record(0), record(1, origin=3))
    first = backlog.cut(START, LIMITS)
    assert first.batch is not None
    second = backlog.cut(first.batch.behind(), LIMITS)

    assert (first.batch.rows, second.batch) == (1, None)
    assert second.hole == "raw offsets 1 to 2 are missing"
    assert len(backlog) == 1


@pytest.mark.parametrize(
    ("limits", "rows"),
    [
        pytest.param(Limits(2, 10_000, 0), 2, id="rows"),
        pytest.param(Limits(100, 14, 0), 2, id="bytes"),
        pytest.param(Limits(100, 1, 0), 1, id="one record over the bytes"),
    ],
)
def test_batch_ends_where_it_is_full(limits: Limits, rows: int) -> None:
    cut = backlog_of(*map(record, range(5))).cut(START, limits)

    assert cut.batch is not None
    assert cut.batch.rows == rows


def test_batch_ends_at_the_month() -> None:
    backlog = backlog_of(record(0), record(1, timestamp=NOVEMBER), record(2, timestamp=OCTOBER))
    cuts = [backlog.cut(Position(at, "inc", at), LIMITS).batch for at in range(3)]

    assert [batch.month for batch in cuts if batch] == [202510, 202511, 202510]
    assert month_of(OCTOBER) == 202510


def test_batch_ends_at_another_incarnation() -> None:
    backlog = backlog_of(record(0), record(1, origin=0, incarnation="new"))
    first = backlog.cut(START, LIMITS)
    second = backlog.cut(first.position, LIMITS)

    assert first.batch is not None
    assert (second.batch, second.switch, second.position) == (None, "new", first.position)


def test_same_records_from_the_same_position_are_the_same_batch() -> None:
    records = [record(at, kind="aq"[at % 2]) for at in range(9)]
    limits = Limits(5, 10_000, 0)
    first = backlog_of(*records).cut(START, limits).batch
    assert first is not None
    again = backlog_of(*records).cut(START, Limits(1, 1, 0), last=first.last).batch

    assert again == first
    assert again.content() == first.content()


def test_content_tells_which_table_a_line_goes_to() -> None:
    there = backlog_of(record(0), record(1, kind="q")).cut(START, LIMITS).batch
    here = backlog_of(record(0), record(1)).cut(START, LIMITS).batch

    assert there is not None
    assert here is not None
    assert there.content() != here.content()


def test_batch_is_due_when_old_or_full() -> None:
    backlog = backlog_of(record(0), now_ms=1_000)

    assert backlog.due_in_ms(LIMITS, 1_200) == 300
    assert backlog.due_in_ms(LIMITS, 1_700) == 0
    assert backlog.due_in_ms(Limits(1, 10_000, 500), 1_000) == 0
    assert Backlog().due_in_ms(LIMITS, 0) == -1


def test_batch_waits_for_company_when_it_is_behind_anyway() -> None:
    late = backlog_of(record(0, timestamp=1_000), now_ms=1_000 + BEHIND_MS + 1)
    timely = backlog_of(record(0, timestamp=1_000), now_ms=1_000 + BEHIND_MS)

    assert late.due_in_ms(LIMITS, 1_001 + BEHIND_MS) == BEHIND_FACTOR * LIMITS.age_ms_max
    assert timely.due_in_ms(LIMITS, 1_000 + BEHIND_MS) == LIMITS.age_ms_max


def test_age_is_that_of_the_first_record_that_still_waits() -> None:
    backlog = backlog_of(record(0), now_ms=1_000)
    backlog.feed([record(1)], 1_300, 1_300)
    assert backlog.due_in_ms(LIMITS, 1_300) == 200

    backlog.cut(START, LIMITS, last=0)

    assert backlog.due_in_ms(LIMITS, 1_300) == 500


@pytest.mark.parametrize("value", [None, b"", b"[1]", b"{}"])
def test_record_that_is_no_line_stops_the_partition(value: bytes | None) -> None:
    with pytest.raises(Broken):
        backlog_of(record(0, value=value)).cut(START, LIMITS)


def test_record_without_coverage_stops_the_partition() -> None:
    with pytest.raises(Broken):
        backlog_of(FakeRecord(0, OCTOBER, b'{"x":1}', ())).cut(START, LIMITS)


def test_bytes_held_come_back_when_they_are_cut() -> None:
    backlog = backlog_of(*map(record, range(5)))
    backlog.cut(START, LIMITS)

    assert (len(backlog), backlog.bytes_) == (0, 0)


def test_body_stamps_every_line() -> None:
    assert (
        body([b'"x":1}', b'"x":2}'], 7)
        == b'{"batch_deadline":7,"x":1}\n{"batch_deadline":7,"x":2}\n'
    )


def test_clock_that_jumps_back_holds_up_no_batch() -> None:
    backlog = Backlog()
    backlog.feed([record(0)], now_ms=1_000, wall_ms=1_000 - 3_600_000)
    assert backlog.due_in_ms(LIMITS, 1_000 + LIMITS.age_ms_max) == 0
