import random

import pytest

from bench.disk import BLOCK_BYTES, CLOUDTRAIL, COMPARED, per_kilobyte
from bench.load import events
from producers.file import read_lines


def test_noise_takes_what_it_is_and_repetition_next_to_nothing() -> None:
    noise = random.Random(1).randbytes(2 * BLOCK_BYTES)
    assert per_kilobyte([noise]) == pytest.approx(1_000, rel=0.01)
    assert per_kilobyte([b"x" * 1_000] * 1_000) < 1


@pytest.mark.skipif(
    not CLOUDTRAIL.exists(), reason="the shared CloudTrail data is not on this machine"
)
def test_bench_events_are_no_easier_to_compress_than_real_ones() -> None:
    with CLOUDTRAIL.open("rb") as stream:
        theirs = per_kilobyte(line.raw for line in read_lines(stream))
    assert per_kilobyte(raw for raw, _key in events(COMPARED)) > theirs
