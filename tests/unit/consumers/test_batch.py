from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.sink.batch import (
    BEHIND_MS,
    BUSY_FACTOR,
    BUSY_ROWS,
    Backlog,
    Cut,
    Limits,
    content_of,
    month_of,
)
from consumers.sink.intent import Position
from schemas.errors import Broken
from schemas.record import COVERAGE_HEADER, encode_coverage

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


@dataclass
class FakeRun:
    records: Sequence[FakeRecord]
    bytes_: int = 1

    @property
    def count(self) -> int:
        return len(self.records)

    @property
    def last(self) -> int:
        return self.records[-1].offset

    @property
    def timestamp(self) -> int:
        return self.records[0].timestamp

    def open(self) -> Sequence[FakeRecord]:
        return self.records


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
    coverage = encode_coverage(kind, incarnation, at if from_ is None else from_, at)
    return FakeRecord(offset, timestamp, value, [(COVERAGE_HEADER, coverage)])


def backlog_of(*records: FakeRecord, now_ms: int = 0) -> Backlog:
    backlog = Backlog()
    if records:
        backlog.feed([FakeRun(records)], now_ms, now_ms)
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
    assert again.content == first.content


def test_content_tells_which_table_a_line_goes_to() -> None:
    there = backlog_of(record(0), record(1, kind="q")).cut(START, LIMITS).batch
    here = backlog_of(record(0), record(1)).cut(START, LIMITS).batch

    assert there is not None
    assert here is not None
    assert there.content != here.content


@given(
    st.lists(
        st.tuples(
            st.sampled_from("aaaaq"),
            st.integers(-2, 2),  # where it begins and ends, against what is next
            st.integers(0, 2),
            st.sampled_from([OCTOBER, OCTOBER + 1, OCTOBER - 5, NOVEMBER]),
            st.sampled_from(["inc"] * 9 + ["other"]),
        ),
        max_size=12,
    ),
    st.integers(1, 6),
)
def test_cut_of_a_run_is_that_of_its_records_one_by_one(
    told: list[tuple[str, int, int, int, str]], rows_max: int
) -> None:
    records = []
    origin = 0
    for offset, (kind, shift, span, timestamp, incarnation) in enumerate(told):
        from_ = max(0, origin + min(0, shift))
        origin = max(from_, origin + shift + span)
        coverage = {"from_": from_, "origin": origin, "incarnation": incarnation}
        records.append(record(offset, kind=kind, timestamp=timestamp, **coverage))  # type: ignore[arg-type]
    limits = Limits(rows_max, 10_000, 0)

    assert backlog_of(*records).cut(START, limits) == slow_cut(records, limits)


def slow_cut(records: list[FakeRecord], limits: Limits) -> Cut:
    """Cut where no record's header is what the quick way looks for."""
    told = [(COVERAGE_HEADER, b""), ("", b"")]
    slow = [FakeRecord(r.offset, r.timestamp, r.value, [*r.headers, *told]) for r in records]
    return backlog_of(*slow).cut(START, limits)


def test_batch_is_due_when_old_or_full() -> None:
    backlog = backlog_of(record(0), now_ms=1_000)

    assert backlog.due_in_ms(LIMITS, 1_200) == 300
    assert backlog.due_in_ms(LIMITS, 1_700) == 0
    assert backlog.due_in_ms(Limits(1, 10_000, 500), 1_000) == 0
    assert Backlog().due_in_ms(LIMITS, 0) == -1


def test_batch_waits_for_company_when_it_is_behind_anyway() -> None:
    late = backlog_of(record(0, timestamp=1_000), now_ms=1_000 + BEHIND_MS + 1)
    timely = backlog_of(record(0, timestamp=1_000), now_ms=1_000 + BEHIND_MS)

    assert late.due_in_ms(LIMITS, 1_001 + BEHIND_MS) == BUSY_FACTOR * LIMITS.age_ms_max
    assert timely.due_in_ms(LIMITS, 1_000 + BEHIND_MS) == LIMITS.age_ms_max


def test_age_is_that_of_the_first_record_that_still_waits() -> None:
    backlog = backlog_of(record(0), now_ms=1_000)
    backlog.feed([FakeRun([record(1)])], 1_300, 1_300)
    assert backlog.due_in_ms(LIMITS, 1_300) == 200

    backlog.cut(START, LIMITS, last=0)

    assert backlog.due_in_ms(LIMITS, 1_300) == 500


@pytest.mark.parametrize("value", [None, b"", b"[1]", b"{}"])
def test_record_that_is_no_line_stops_the_partition(value: bytes | None) -> None:
    with pytest.raises(Broken):
        backlog_of(record(0, value=value)).cut(START, LIMITS)


def test_record_without_coverage_stops_the_partition() -> None:
    with pytest.raises(Broken):
        backlog_of(FakeRecord(0, OCTOBER, b'{"x":1}', [])).cut(START, LIMITS)


def test_bytes_held_come_back_when_they_are_cut() -> None:
    backlog = backlog_of(*map(record, range(5)))
    backlog.cut(START, LIMITS)

    assert (len(backlog), backlog.bytes_) == (0, 0)


@pytest.mark.parametrize(
    ("rows", "factor"),
    [(BUSY_ROWS - 1, 1), (BUSY_ROWS, 2), (BUSY_ROWS * 20, BUSY_FACTOR)],
)
def test_batch_waits_for_company_while_much_comes(rows: int, factor: int) -> None:
    waiting = backlog_of(*map(record, range(rows)), now_ms=1_000)
    limits = Limits(rows_max=rows * 2, bytes_max=10**9, age_ms_max=500)

    assert waiting.due_in_ms(limits, 1_000) == factor * 500


def test_batch_is_due_when_what_waits_would_be_too_many_bytes_opened() -> None:
    backlog = Backlog()
    backlog.feed([FakeRun([record(0)], bytes_=1)], 0, 0)
    backlog.feed([FakeRun([record(1)], bytes_=1), FakeRun([record(2)], bytes_=2)], 0, 0)
    backlog.cut(START, Limits(1, 10_000, 500))  # opened, one byte was seven

    assert backlog.due_in_ms(Limits(100, 15, 500), 0) == 500
    assert backlog.due_in_ms(Limits(100, 14, 500), 0) == 0


def test_run_is_cut_in_its_middle_and_goes_on_there() -> None:
    backlog = Backlog()
    backlog.feed([FakeRun(list(map(record, range(4)))), FakeRun([record(4)])], 0, 0)
    cuts = [backlog.cut(Position(at, "inc", at), Limits(3, 10_000, 0)).batch for at in (0, 3)]

    assert [batch.rows for batch in cuts if batch] == [3, 2]


def test_hash_tells_lines_and_tables_apart() -> None:
    told = [content_of(*tables) for tables in (([b"a", b"b"], []), ([b"a"], [b"b"]), ([b"ab"], []))]
    assert len(set(told)) == len(told)


def test_clock_that_jumps_back_holds_up_no_batch() -> None:
    backlog = Backlog()
    backlog.feed([FakeRun([record(0)])], now_ms=1_000, wall_ms=1_000 - 3_600_000)
    assert backlog.due_in_ms(LIMITS, 1_000 + LIMITS.age_ms_max) == 0
