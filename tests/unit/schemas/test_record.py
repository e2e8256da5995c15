"""The coverage header: the one text on which stage 1 and the sink must agree."""

import pytest

from schemas.errors import Broken
from schemas.record import COVERAGE_HEADER, Coverage, decode_coverage, encode_coverage, judge

INCARNATION = "mXvG0bqmS5e4fXk6yBHzVA"


def test_header_is_spelled_as_records_of_all_times_have_it() -> None:
    assert COVERAGE_HEADER == "coverage"
    header = b"a:mXvG0bqmS5e4fXk6yBHzVA:39:41"
    assert encode_coverage("a", INCARNATION, 39, 41) == header
    assert decode_coverage(header) == Coverage("a", INCARNATION, 39, 41)


@pytest.mark.parametrize("kind", ["a", "q"])
@pytest.mark.parametrize(("from_", "origin"), [(0, 0), (41, 41), (7, 1 << 62)])
def test_what_one_end_writes_the_other_reads(kind: str, from_: int, origin: int) -> None:
    coverage = Coverage(kind, INCARNATION, from_, origin)
    assert decode_coverage(encode_coverage(*coverage)) == coverage


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a:i:1", id="a part missing"),
        pytest.param(b"a:i:1:2:3", id="a part too many"),
        pytest.param(b"a:i:x:2", id="no number"),
        pytest.param(b"x:i:1:2", id="no such kind"),
        pytest.param(b"a:i:3:2", id="ends before it begins"),
        pytest.param(b"a:i:-1:2", id="below zero"),
        pytest.param(b"a:\xff:1:2", id="not ASCII"),
    ],
)
def test_what_stage_1_would_not_have_written_stops_the_partition(header: bytes) -> None:
    with pytest.raises(Broken):
        decode_coverage(header)


@pytest.mark.parametrize(
    ("expected", "verdict"),
    [(38, "hole"), (39, "next"), (41, "next"), (42, "repeat")],
)
def test_record_is_judged_by_what_is_expected_next(expected: int, verdict: str) -> None:
    assert judge(expected, 39, 41) == verdict
