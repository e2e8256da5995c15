"""Events from a file or stream: JSON lines, one JSON document or an array, gzipped or not."""

import gzip
import io
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, cast

import orjson

from producers.cloudtrail import from_cloudtrail
from producers.event_id import time_ordered_id
from producers.lane import Outcome, Receipt
from producers.message import Message, check, key_of, raw_message, to_message
from schemas.errors import BadEvent, Misconfigured
from schemas.event import decode

LINE_BYTES_MAX: Final = 64 * 1024 * 1024  # a gzipped CloudTrail file is one line of all its events
LINES_PER_CALL: Final = 1_000
REFUSALS_KEPT_MAX: Final = 100  # told one by one; all are counted
_GZIP: Final = b"\x1f\x8b"


class Line(NamedTuple):
    """One event's bytes; `number` is its line, or its place in an array, from 1."""

    number: int
    raw: bytes


class Refusal(NamedTuple):
    """Why one line is not a valid event, "field:kind", and what to do."""

    number: int
    reason: str
    cure: str = ""


@dataclass(slots=True)
class Counts:
    """What became of the lines read; read = published + refused + failed."""

    read: int = 0
    published: int = 0
    refused: int = 0  # not a valid event
    failed: int = 0  # the broker did not confirm it in time
    refusals: list[Refusal] = field(default_factory=list)  # the first of them
    failures: Counter[str] = field(default_factory=Counter)  # by the error of the delivery

    def refuse(self, number: int, error: BadEvent) -> None:
        """Count it; keep the reason, unless there are many already."""
        self.refused += 1
        if len(self.refusals) < REFUSALS_KEPT_MAX:
            self.refusals.append(Refusal(number, error.reason, error.hint))

    def fail(self, error: Exception) -> None:
        """Count it, by its reason."""
        self.failed += 1
        self.failures[str(error)] += 1  # at most `LINES_PER_CALL`: it ends with the call


class ManyPublisher(Protocol):
    """What is needed of a publisher."""

    async def publish_many_bytes(
        self, messages: Iterable[tuple[bytes, bytes | None]], *, deadline_s: float | None = None
    ) -> list[Outcome]:
        """As `Publisher.publish_many_bytes` promises."""
        ...


Prepare = Callable[[bytes], Message]


def read_lines(stream: BinaryIO, bytes_max: int = LINE_BYTES_MAX) -> Iterator[Line]:
    """Yield every event, blank lines left out; memory holds one line, or one document.

    The bytes of a line or of a lone document come as they are; the elements of an array or of
    CloudTrail's {"Records": [...]} are written anew. Raises `Misconfigured` when the file is
    broken as a file, or a line is longer than `bytes_max`.
    """
    try:
        yield from _read(_unzipped(stream), bytes_max)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Misconfigured("the input is a broken gzip file") from error


def native(raw: bytes) -> Message:
    """Check that the pipeline will take it, and publish the bytes as they are."""
    return raw_message(raw, key_of(check(raw)))


def as_is(raw: bytes) -> Message:
    """Publish whatever it is; what is not an event is quarantined by the pipeline."""
    try:
        return raw_message(raw, key_of(decode(raw)))
    except BadEvent:
        return raw_message(raw)


def cloudtrail(raw: bytes) -> Message:
    """Map an event of AWS CloudTrail; its own id makes a repeat of it recognisable."""
    return to_message(from_cloudtrail(raw), time_ordered_id(0))


PREPARERS: Final[dict[str, Prepare]] = {"native": native, "cloudtrail": cloudtrail}


async def publish_file(
    publisher: ManyPublisher,
    lines: Iterable[Line],
    prepare: Prepare,
    progress: Callable[[Counts], None] = lambda _counts: None,
) -> Counts:
    """Publish in order. Stops after the first call in which the broker failed any line.

    `progress` is called after every call to the broker, with the counts so far.
    """
    counts = Counts()
    async for _ in _published(publisher, lines, prepare, counts):
        progress(counts)
        if counts.failed:
            break
    return counts


async def _published(
    publisher: ManyPublisher, lines: Iterable[Line], prepare: Prepare, counts: Counts
) -> AsyncIterator[None]:
    iterator = iter(lines)
    while chunk := list(islice(iterator, LINES_PER_CALL)):
        counts.read += len(chunk)
        numbers: list[int] = []
        messages: list[tuple[bytes, bytes | None]] = []
        for line in chunk:
            try:
                message = prepare(line.raw)
            except BadEvent as error:
                counts.refuse(line.number, error)
                continue
            numbers.append(line.number)
            messages.append((message.value, message.key))
        outcomes = await publisher.publish_many_bytes(messages)
        for number, outcome in zip(numbers, outcomes, strict=True):
            if isinstance(outcome, Receipt):
                counts.published += 1
            elif isinstance(outcome, BadEvent):
                counts.refuse(number, outcome)
            else:
                counts.fail(outcome)
        yield


def _unzipped(stream: BinaryIO) -> BinaryIO:
    buffered = io.BufferedReader(cast("Any", stream)) if not _can_peek(stream) else stream
    if cast("Any", buffered).peek(2)[:2] == _GZIP:
        return cast("BinaryIO", gzip.GzipFile(fileobj=buffered))
    return buffered


def _can_peek(stream: BinaryIO) -> bool:
    return hasattr(stream, "peek")


def _read(stream: BinaryIO, bytes_max: int) -> Iterator[Line]:
    number = 0
    first = b""
    while not first.strip():
        first = _line(stream, bytes_max)
        number += 1
        if not first:
            return
    first = first.rstrip(b"\r\n")
    document = _document(first, stream, bytes_max)
    if isinstance(document, list):
        for place, element in enumerate(document, 1):
            yield Line(place, orjson.dumps(element))
        return
    rest: Iterable[bytes] = iter(lambda: _line(stream, bytes_max), b"")
    if isinstance(document, bytes):
        if _parses(document):
            yield Line(number, document)
            return
        first, *more = document.split(b"\n")  # it only looked like a document
        rest = more
    yield Line(number, first.rstrip(b"\r"))
    for raw in rest:
        number += 1
        if raw.strip():
            yield Line(number, raw.rstrip(b"\r\n"))


def _document(first: bytes, stream: BinaryIO, bytes_max: int) -> list[Any] | bytes | None:
    """Return the elements of an array, the bytes of a document of many lines, or None for lines."""
    start = first.lstrip()
    is_array = start.startswith(b"[")
    if not is_array and not (start.startswith(b"{") and not _parses(first)):
        parsed = _parsed(first)
        return _records(parsed) if isinstance(parsed, dict) else None
    if (
        not is_array
        and len(start.rstrip()) > 1
        and start[1:].lstrip()[:1] == b'"'
        and b":" in start
    ):
        return None  # `{"timestamp": ...` and broken: a bad line among lines, not a document
    whole = first + b"\n" + stream.read(bytes_max + 1 - len(first))
    if len(whole) > bytes_max:
        raise Misconfigured(f"the input is one document of more than {bytes_max} bytes")
    whole = whole.rstrip()
    parsed = _parsed(whole)
    if isinstance(parsed, list):
        return parsed
    return (_records(parsed) if isinstance(parsed, dict) else None) or whole


def _records(parsed: dict[str, Any]) -> list[Any] | None:
    records = parsed.get("Records")
    return records if len(parsed) == 1 and isinstance(records, list) else None


def _line(stream: BinaryIO, bytes_max: int) -> bytes:
    line = stream.readline(bytes_max + 1)
    if len(line) > bytes_max:
        raise Misconfigured(f"a line is longer than {bytes_max} bytes")
    return line


def _parsed(raw: bytes) -> object:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _parses(raw: bytes) -> bool:
    return _parsed(raw) is not None
