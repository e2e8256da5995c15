"""What the transport relies on inside Faust and aiokafka; an upgrade that moves it fails here."""

import inspect
from importlib.metadata import entry_points, version

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import (
    Assignment,
    Subscription,
    SubscriptionState,
    TopicPartitionState,
)
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from faust.streams import Stream
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import aiokafka as driver
from mode import Service

from pipeline.transport import Consumer, ConsumerThread, Transport


def test_versions_are_those_whose_insides_were_read() -> None:
    """Read the three modules again before raising a number here."""
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


def test_transport_is_found_by_its_url_scheme() -> None:
    (found,) = entry_points(group="faust.transports", name="kafka+batch")
    assert found.load() is Transport


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (
            driver.AIOKafkaConsumerThread,
            "_fetch_records",
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (driver.AIOKafkaConsumerThread, "seek_to_committed", ["self"]),
        (driver.AIOKafkaConsumerThread, "_commit", ["self", "offsets"]),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (driver.Consumer, "_to_message", ["self", "tp", "record"]),
        (BaseConsumer, "ack", ["self", "message"]),
        (BaseConsumer, "_new_offset", ["self", "tp"]),
        (BaseConsumer, "_add_gap", ["self", "tp", "offset_from", "offset_to"]),
        (BaseConsumer, "on_buffer_full", ["self", "tp"]),
        (BaseConsumer, "on_partitions_revoked", ["self", "revoked"]),
        (BaseConsumer, "on_partitions_assigned", ["self", "assigned", "generation_id"]),
        (Fetcher, "fetched_records", ["self", "partitions", "timeout", "max_records"]),
        (Fetcher, "_create_fetch_waiter", ["self"]),
        (PartitionRecords, "_consumer_record", ["self", "tp", "record"]),
        (Assignment, "state_value", ["self", "tp"]),
        (SubscriptionState, "fetch_context", ["self"]),
        (Stream, "noack", ["self"]),
        (BatchBuilder, "_build", ["self"]),
        (
            BatchBuilder,
            "_set_producer_state",
            ["self", "producer_id", "producer_epoch", "base_sequence"],
        ),
        (AIOKafkaProducer, "send_batch", ["self", "batch", "topic", "partition"]),
    ],
)
def test_method_relied_on_is_still_what_it_was(
    owner: type, name: str, parameters: list[str]
) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == parameters


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (SubscriptionState, "reassignment_in_progress"),
        (SubscriptionState, "subscription"),
        (Subscription, "assignment"),
        (TopicPartitionState, "position"),
        (TopicPartitionState, "has_valid_position"),
    ],
)
def test_property_relied_on_is_still_one(owner: type, name: str) -> None:
    assert isinstance(getattr(owner, name), property)


@pytest.mark.parametrize(
    ("function", "fragment"),
    [
        pytest.param(
            driver.AIOKafkaConsumerThread.getmany, "self._fetch_records", id="records leave here"
        ),
        pytest.param(
            BaseConsumer._filter_tps_with_pending_acks, "in self._acked", id="what commits look at"
        ),
        pytest.param(BaseConsumer._filter_committable_offsets, "self._new_offset(tp)", id="commit"),
        pytest.param(BaseConsumer.getmany, "to_message(tp, record)", id="records become messages"),
        pytest.param(Fetcher.__init__, "self._records = collections.OrderedDict()", id="fetched"),
        pytest.param(
            Fetcher.fetched_records, "if drained or not timeout:", id="no wait with timeout 0"
        ),
        pytest.param(FetchResult.__init__, "self._partition_records = ", id="what a fetch brought"),
        pytest.param(
            PartitionRecords._unpack_records, "self._consumer_record(tp, record)", id="each record"
        ),
        pytest.param(BatchBuilder._build, "if self._buffer is None:", id="bytes made once"),
        pytest.param(
            MessageBatch.set_producer_state, "self._builder._set_producer_state(", id="the head"
        ),
        pytest.param(Subscription._assign, "Assignment(topic_partitions)", id="new at a rebalance"),
        pytest.param(Service.__init__, "self._crashed = ", id="how a crash is seen"),
    ],
)
def test_code_relied_on_is_still_there(function: object, fragment: str) -> None:
    assert fragment in inspect.getsource(function)  # type: ignore[arg-type]  # a function


def test_parser_s_records_have_all_that_a_run_needs() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 10_000)
    builder.append(0, 1_760_000_000_000, b"key", b"value", [])
    (record,) = DefaultRecordBatch(bytes(builder.build()))
    assert (record.offset, record.timestamp, record.key, record.value, record.timestamp_type) == (
        0,
        1_760_000_000_000,
        b"key",
        b"value",
        0,
    )


def test_ours_stand_in_faust_s_place() -> None:
    assert issubclass(ConsumerThread, driver.AIOKafkaConsumerThread)
    assert issubclass(Consumer, driver.Consumer)
    assert Transport.Consumer is Consumer
