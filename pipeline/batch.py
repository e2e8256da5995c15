"""Record batches that are compressed where the event loop need not wait for it.

aiokafka builds a batch in the event loop when its sender takes it, since the head names the
producer and the sequence; compressing is most of that. Here the bytes are made before, and the
head is corrected after: zstd lets go of Python's lock, so that a second core does the work.

Relied on inside aiokafka 0.14 (`tests/unit/pipeline/test_batch.py` and `test_transport_internals`
pin it): `BatchBuilder` keeps `_builder`, `_relative_offset`, `_closed` and `_buffer`, gives out
`_buffer` if there is one, and is told the producer by `_set_producer_state`.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from pipeline.run import Headers

BATCH_BYTES_MAX: Final = 1_000_000  # before compression, below a broker's default of 1 MiB
SEAL_BYTES_MIN: Final = 65_536  # less is compressed sooner than a thread wakes

Packed = tuple[int, bytes | None, bytes | None, Headers]  # an `OutRecord`, or a tombstone

_CODECS: Final = {
    None: DefaultRecordBatch.CODEC_NONE,
    "gzip": DefaultRecordBatch.CODEC_GZIP,
    "snappy": DefaultRecordBatch.CODEC_SNAPPY,
    "lz4": DefaultRecordBatch.CODEC_LZ4,
    "zstd": DefaultRecordBatch.CODEC_ZSTD,
}
# Where Kafka's batches of format 2 have them: checksum; all that it is of; the producer's id, its
# epoch and the first sequence number.
_CRC: Final = struct.Struct(">I")
_CRC_AT: Final = 17
_SUMMED_FROM: Final = 21
_PRODUCER: Final = struct.Struct(">qhi")
_PRODUCER_AT: Final = 43


class Batch(BatchBuilder):  # type: ignore[misc]  # aiokafka is untyped here
    """A batch for `AIOKafkaProducer.send_batch`; `seal` makes its bytes ahead."""

    def __init__(self, compression: str | None, *, is_transactional: bool = False) -> None:
        codec = _CODECS[compression]
        super().__init__(BATCH_BYTES_MAX, codec, is_transactional=int(is_transactional))

    def take(self, records: Sequence[Packed], start: int) -> int:
        """Take records from `start` on while they fit, then close; return where that ended.

        An empty batch takes any record, so one that is larger than a batch travels alone.
        """
        append, number = self._builder.append, 0
        for timestamp_ms, key, value, headers in islice(records, start, None):
            # a full batch takes nothing and answers None; a list is all that it takes for headers
            if append(number, timestamp_ms, key, value, list(headers)) is None:
                break
            number += 1
        self._relative_offset = number
        self.close()
        return start + number

    @property
    def is_worth_sealing(self) -> bool:
        """Whether there is enough to compress for a thread to be woken."""
        return bool(self.size() >= SEAL_BYTES_MIN)

    def seal(self) -> None:
        """Make the bytes; from any thread, while nobody else has the batch."""
        self._build()

    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None:
        """Correct the head of bytes that are already there; as aiokafka's sender calls it."""
        if self._buffer is None:
            super()._set_producer_state(producer_id, producer_epoch, base_sequence)
            return
        _PRODUCER.pack_into(self._buffer, _PRODUCER_AT, producer_id, producer_epoch, base_sequence)
        summed = memoryview(self._buffer)[_SUMMED_FROM:]
        _CRC.pack_into(self._buffer, _CRC_AT, calc_crc32c(summed))


def pack(
    records: Sequence[Packed], compression: str | None, *, is_transactional: bool = False
) -> Iterator[Batch]:
    """Fill batches one after the other; lazy: only one stands in memory beside its records."""
    done = 0
    while done < len(records):
        batch = Batch(compression, is_transactional=is_transactional)
        before, done = done, batch.take(records, done)
        assert done > before, "an empty batch takes any record"
        yield batch
