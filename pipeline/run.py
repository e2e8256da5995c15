"""A run: the raw records of one fetch of one partition, and what stage 1 makes of them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class RawRecord(Protocol):
    """What stage 1 reads of a record; aiokafka's ConsumerRecord has these and more."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """The broker's append time, in milliseconds since 1970."""

    @property
    def key(self) -> bytes | None:
        """What the producer chose the partition by."""

    @property
    def value(self) -> bytes | None:
        """The event's bytes as published."""


class Run(NamedTuple):
    """Records of one partition in their order.

    `position` is the offset from which the worker accounts for the partition: 1 + the last offset
    before these records, or where it took the partition over. It is at most the first offset.
    """

    topic: str
    partition: int
    position: int
    records: Sequence[RawRecord]


class OutRecord(NamedTuple):
    """One record for `audit.records`, for the partition number that it came from."""

    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: Headers


class OutAlert(NamedTuple):
    """One alert for `audit.alerts`; the key is its id."""

    key: bytes
    value: bytes


class OutSignal(NamedTuple):
    """What one stateful rule needs of a run for one group; the key decides the partition."""

    key: bytes
    value: bytes


class Output(NamedTuple):
    """What is to be written before the run may be acknowledged: one record per raw record."""

    records: list[OutRecord]
    alerts: list[OutAlert]
    signals: Sequence[OutSignal] = ()
