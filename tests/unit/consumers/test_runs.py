"""Record batches handed out whole; what runs.py believes of aiokafka's insides fails here first."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, Fetcher, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from consumers.sink.runs import KafkaRun, PartitionRuns, _Fetched
from schemas.errors import Broken
from schemas.record import COVERAGE_HEADER

WHERE = TopicPartition("records", 0)
ZSTD = 4
MOMENT = 1_760_000_000_000


def batch_bytes(base: int, count: int) -> bytes:
    """Build a batch of `count` records as a broker returns it, with its base offset in front."""
    builder = DefaultRecordBatchBuilder(2, ZSTD, 0, 7, 0, 0, 1_000_000)
    for number in range(count):
        headers = [(COVERAGE_HEADER, b"a:inc:%d:%d" % (base + number, base + number))]
        value = b'{"offset":%d}' % (base + number)
        assert builder.append(number, MOMENT + number, None, value, headers) is not None
    return base.to_bytes(8, "big") + bytes(builder.build())[8:]


def fetched(*batches: bytes, position: int = 0) -> PartitionRecords:
    records = MemoryRecords(b"".join(batches))
    told: dict[str, Any] = {
        "key_deserializer": None,
        "value_deserializer": None,
        "aborted_transactions": [],
    }
    return PartitionRecords(
        WHERE,
        records,
        fetch_offset=position,
        check_crcs=True,
        isolation_level=READ_COMMITTED,
        **told,
    )


def result_of(records: Any, position: int = 0) -> tuple[FetchResult, Any]:
    state = SimpleNamespace(paused=False, position=position)
    state.consumed_to = lambda offset: setattr(state, "position", offset)
    assignment = SimpleNamespace(active=True, state_value=lambda _tp: state)
    result = FetchResult(WHERE, assignment=assignment, partition_records=records, backoff=0)
    return result, state


def test_fetch_is_handed_out_batch_by_batch_with_the_records_of_each() -> None:
    runs = list(PartitionRuns(fetched(batch_bytes(0, 3), batch_bytes(3, 2))))

    assert [(run.first, run.last, run.count, run.timestamp) for run in runs] == [
        (0, 2, 3, MOMENT),
        (3, 4, 2, MOMENT),
    ]
    opened = [record for run in runs for record in run.open()]
    assert [record.offset for record in opened] == [0, 1, 2, 3, 4]
    assert opened[4].value == b'{"offset":4}'
    assert opened[4].headers == [(COVERAGE_HEADER, b"a:inc:4:4")]


def test_run_that_begins_before_the_position_leaves_out_what_is_before_it() -> None:
    (run,) = PartitionRuns(fetched(batch_bytes(0, 5), position=3))

    assert (run.first, run.count) == (3, 2)
    assert [record.offset for record in run.open()] == [3, 4]


def test_result_on_the_shelf_hands_out_runs_and_moves_the_position_behind_them() -> None:
    shelf = _Fetched()
    result, state = result_of(fetched(batch_bytes(0, 3), batch_bytes(3, 2)))
    shelf[WHERE] = result

    first = result.getall(max_records=1)
    assert ([type(run) for run in first], state.position) == ([KafkaRun], 3)
    rest = result.getall()
    assert ([run.last for run in rest], state.position) == ([4], 5)
    assert not result.has_more()


def test_batch_that_changed_on_its_way_is_not_handed_out() -> None:
    damaged = bytearray(batch_bytes(0, 3))
    damaged[-1] ^= 1
    with pytest.raises(CorruptRecordException):
        list(PartitionRuns(fetched(bytes(damaged))))


def test_batch_that_no_producer_of_ours_wrote_stops_the_partition() -> None:
    def unreadable() -> Any:
        raise CorruptRecordException("Found invalid record structure")

    batch = SimpleNamespace(base_offset=0, next_offset=1, first_timestamp=MOMENT)
    kind = type("Unreadable", (SimpleNamespace,), {"__iter__": lambda _self: unreadable()})
    with pytest.raises(Broken):
        KafkaRun(kind(**vars(batch)), 0, 1).open()


def test_fetcher_keeps_what_it_fetched_where_we_look_for_it() -> None:
    assert "_records" in Fetcher.__init__.__code__.co_names
    result, _state = result_of(fetched(batch_bytes(0, 1)))
    assert "_partition_records" in vars(result)
