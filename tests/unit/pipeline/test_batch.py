import random

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch

from pipeline.batch import BATCH_BYTES_MAX, SEAL_BYTES_MIN, Batch, pack
from pipeline.run import OutRecord

STATE = (77, 3, 991)


def make_records(count: int, size: int = 100) -> list[OutRecord]:
    rng = random.Random(1)
    return [
        OutRecord(
            1_760_000_000_000 + at, b"key", rng.randbytes(size).hex().encode(), (("h", b"%d" % at),)
        )
        for at in range(count)
    ]


def aiokafkas_own(records: list[OutRecord], codec: int, *, is_transactional: int = 0) -> bytes:
    builder = BatchBuilder(BATCH_BYTES_MAX, codec, is_transactional=is_transactional)
    for timestamp_ms, key, value, headers in records:
        builder.append(timestamp=timestamp_ms, key=key, value=value, headers=list(headers))
    builder._set_producer_state(*STATE)
    return bytes(builder._build())


@pytest.mark.parametrize(("name", "codec"), [(None, 0), ("gzip", 1), ("zstd", 4)])
@pytest.mark.parametrize("is_transactional", [False, True])
def test_sealed_batch_is_byte_for_byte_aiokafkas_own(
    name: str | None, codec: int, *, is_transactional: bool
) -> None:
    records = make_records(50)
    (batch,) = pack(records, name, is_transactional=is_transactional)
    batch.seal()
    batch._set_producer_state(*STATE)
    expected = aiokafkas_own(records, codec, is_transactional=int(is_transactional))
    if name != "gzip":  # whose head has the time
        assert bytes(batch._build()) == expected
    read = DefaultRecordBatch(bytes(batch._build()))
    assert read.validate_crc()
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == STATE
    assert read.is_transactional == is_transactional


def test_batch_that_is_not_sealed_is_built_by_the_sender() -> None:
    records = make_records(3)
    (batch,) = pack(records, "zstd")
    batch._set_producer_state(*STATE)
    assert bytes(batch._build()) == aiokafkas_own(records, 4)


def test_producer_may_be_told_again() -> None:
    (batch,) = pack(make_records(3), "zstd")
    batch.seal()
    batch._set_producer_state(1, 1, 1)
    batch._set_producer_state(*STATE)
    assert bytes(batch._build()) == aiokafkas_own(make_records(3), 4)


def test_batches_hold_all_records_in_order_and_stay_within_their_bound() -> None:
    records = make_records(3_000, size=500)
    found = []
    for batch in pack(records, None):
        assert batch.size() <= BATCH_BYTES_MAX
        batch._set_producer_state(*STATE)
        made = list(DefaultRecordBatch(bytes(batch._build())))
        assert batch.record_count() == len(made) > 1
        found += [OutRecord(r.timestamp, r.key, r.value, tuple(r.headers)) for r in made]
    assert found == records


def test_record_larger_than_a_batch_travels_alone() -> None:
    large = OutRecord(1, None, b"x" * (BATCH_BYTES_MAX + 1), ())
    small = OutRecord(2, None, b"y", ())
    counts = [batch.record_count() for batch in pack([small, large, small], None)]
    assert counts == [1, 1, 1]


def test_nothing_makes_no_batch() -> None:
    assert list(pack([], "zstd")) == []


def test_only_a_batch_of_some_size_is_worth_a_thread() -> None:
    (small,) = pack(make_records(1), "zstd")
    (large,) = pack([OutRecord(1, None, b"x" * SEAL_BYTES_MIN, ())], "zstd")
    assert not small.is_worth_sealing
    assert large.is_worth_sealing


def test_closed_batch_takes_no_more() -> None:
    batch = Batch("zstd")
    batch.take(make_records(1), 0)
    assert batch.closed()
    assert batch.append(timestamp=1, key=b"k", value=b"v", headers=[]) is None
