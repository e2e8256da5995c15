"""Coverage, cutting and acknowledgement of runs, without a broker."""

import pytest
from aiokafka import ConsumerRecord
from faust.types import TP

from pipeline.reading import Acks, Reading, cut_runs
from pipeline.run import Run
from schemas.errors import Broken

HERE = TP("audit.events", 3)


def record(offset: int, size: int = 10) -> ConsumerRecord:
    return ConsumerRecord(
        HERE.topic, HERE.partition, offset, 1, 0, None, bytes(size), None, -1, size, ()
    )


def run(first: int, last: int) -> Run:
    return Run(HERE.topic, HERE.partition, first, [record(n) for n in range(first, last + 1)])


def begun() -> Reading:
    reading = Reading()
    reading.begin(object())
    return reading


def test_takeover_covers_from_the_position_it_found() -> None:
    assert begun().fetch(HERE, 40) == 40


def test_next_run_covers_from_the_end_of_the_one_before() -> None:
    reading = begun()
    reading.fetch(HERE, 40)
    reading.advance(HERE, 50, 49)
    assert reading.fetch(HERE, 50) == 50


def test_markers_behind_the_last_record_are_covered_by_the_next_run() -> None:
    reading = begun()
    reading.fetch(HERE, 40)
    reading.advance(HERE, 52, 49)
    assert reading.fetch(HERE, 52) == 50


def test_fetch_of_markers_alone_moves_reading_but_not_coverage() -> None:
    reading = begun()
    reading.fetch(HERE, 40)
    reading.advance(HERE, 50, 49)
    reading.fetch(HERE, 50)
    reading.advance(HERE, 53, None)
    assert reading.fetch(HERE, 53) == 50


def test_jump_of_the_position_is_not_covered() -> None:
    reading = begun()
    reading.fetch(HERE, 40)
    reading.advance(HERE, 50, 49)
    assert reading.gap(HERE, 90) == 50
    assert reading.fetch(HERE, 90) == 90


def test_reading_again_covers_from_where_it_begins_again() -> None:
    reading = begun()
    reading.fetch(HERE, 40)
    reading.advance(HERE, 50, 49)
    assert reading.gap(HERE, 44) is None
    assert reading.fetch(HERE, 44) == 44


def test_new_assignment_forgets_the_old_course() -> None:
    reading = begun()
    reading.fetch(HERE, 40)
    reading.advance(HERE, 52, 49)
    reading.begin(object())
    assert reading.fetch(HERE, 52) == 52


def test_same_assignment_keeps_the_course() -> None:
    reading, assignment = Reading(), object()
    reading.begin(assignment)
    reading.fetch(HERE, 40)
    reading.advance(HERE, 52, 49)
    reading.begin(assignment)
    assert reading.fetch(HERE, 52) == 50


def test_log_below_the_commit_is_refused() -> None:
    reading = begun()
    reading.commit(HERE, 40)
    assert reading.fetch(HERE, 40) == 40
    with pytest.raises(Broken, match=r"audit.events\[3\]: the log offers 39"):
        reading.fetch(HERE, 39)


def offsets(runs: list[Run]) -> list[tuple[int, list[int]]]:
    return [(cut.position, [r.offset for r in cut.records]) for cut in runs]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        pytest.param([10], [(4, [5])], id="one"),
        pytest.param([10] * 3, [(4, [5, 6, 7])], id="records at the bound"),
        pytest.param([10] * 4, [(4, [5, 6, 7]), (8, [8])], id="records over the bound"),
        pytest.param([50, 50], [(4, [5, 6])], id="bytes at the bound"),
        pytest.param([50, 51], [(4, [5]), (6, [6])], id="bytes over the bound"),
        pytest.param([900, 10], [(4, [5]), (6, [6])], id="first alone over the bound"),
        pytest.param([10, 900, 10], [(4, [5]), (6, [6]), (7, [7])], id="giant between"),
    ],
)
def test_runs_are_cut_at_both_bounds(
    sizes: list[int], expected: list[tuple[int, list[int]]]
) -> None:
    records = [record(5 + n, size) for n, size in enumerate(sizes)]
    assert offsets(cut_runs(HERE, 4, records, records_max=3, bytes_max=100)) == expected


def test_nothing_is_committable_before_the_first_run_is_back() -> None:
    acks = Acks()
    acks.hand_out(HERE, run(0, 9))
    acks.hand_out(HERE, run(10, 19))
    acks.take_back(HERE, 19)
    assert acks.committable(HERE) is None


def test_commit_goes_to_the_end_of_what_is_back_in_one_step() -> None:
    acks = Acks()
    for first in (0, 10, 20):
        acks.hand_out(HERE, run(first, first + 9))
    acks.take_back(HERE, 9)
    acks.take_back(HERE, 19)
    assert acks.committable(HERE) == 20
    assert acks.committable(HERE) is None
    acks.take_back(HERE, 29)
    assert acks.committable(HERE) == 30


def test_first_run_of_one_record_at_offset_zero_is_committable() -> None:
    acks = Acks()
    acks.hand_out(HERE, run(0, 0))
    acks.take_back(HERE, 0)
    assert acks.committable(HERE) == 1
    acks.hand_out(HERE, run(1, 10))
    acks.take_back(HERE, 10)
    assert acks.committable(HERE) == 11


def test_unknown_run_changes_nothing() -> None:
    acks = Acks()
    acks.hand_out(HERE, run(0, 9))
    acks.take_back(HERE, 8)
    acks.take_back(TP("other", 0), 9)
    assert acks.committable(HERE) is None


def test_reading_again_needs_its_own_acknowledgement() -> None:
    acks = Acks()
    acks.hand_out(HERE, run(0, 9))
    acks.hand_out(HERE, run(10, 19))
    acks.take_back(HERE, 19)
    acks.hand_out(HERE, run(10, 14))
    acks.take_back(HERE, 9)
    assert acks.committable(HERE) == 10
    acks.take_back(HERE, 19)
    assert acks.committable(HERE) is None


def test_forgotten_partition_commits_nothing() -> None:
    acks = Acks()
    acks.hand_out(HERE, run(0, 9))
    acks.take_back(HERE, 9)
    acks.forget([HERE])
    assert acks.committable(HERE) is None
