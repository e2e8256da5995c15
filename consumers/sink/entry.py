"""A batch's name in the store, and its line in the ledger. Pure."""

from typing import Final, NamedTuple

from consumers.sink.batch import Batch

DEADLINE: Final = "batch_deadline"  # the column that each row of a batch is stamped with


class Place(NamedTuple):
    """Which partition this is, and who writes it; `topic` is the raw topic."""

    topic: str
    partition: int
    sink: str
    generation: int


def token_of(place: Place, batch: Batch) -> str:
    """Return the batch's name: the same raw offsets of the same incarnation, the same batch."""
    origin = f"{batch.position.expected}-{batch.origin_next}"
    return f"{batch.position.incarnation}:{place.topic}:{place.partition}:{origin}"


def ledger_line(place: Place, batch: Batch) -> dict[str, str | int | float]:
    """Return the batch's row for the table of batches."""
    return {
        "incarnation": batch.position.incarnation,
        "topic": place.topic,
        "partition": place.partition,
        "origin_from": batch.position.expected,
        "origin_next": batch.origin_next,
        "record_first": batch.position.offset,
        "record_last": batch.last,
        "rows_stored": len(batch.accepted),
        "rows_quarantined": len(batch.rejected),
        "gaps": batch.gaps,
        "repeats": batch.repeats,
        "bytes": batch.bytes_,
        "token": token_of(place, batch),
        "content_xxh": int(batch.content, 16),
        "recorded_min": _moment(batch.recorded_min_ms),
        "recorded_max": _moment(batch.recorded_max_ms),
        "sink": place.sink,
        "generation": place.generation,
    }


def _moment(timestamp_ms: int) -> str:
    """Return the time as ClickHouse reads a DateTime64(3): seconds and their thousandths."""
    return f"{timestamp_ms // 1000}.{timestamp_ms % 1000:03}"
