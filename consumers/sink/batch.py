"""Records to batches: which to take, and where to cut. Pure.

A batch is a run of records whose content is a function of the position and the topic alone:
whoever reads the same records from the same position to the same end has the same bytes.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import xxhash

from consumers.sink.intent import Intent, Position
from schemas.errors import Broken
from schemas.record import ACCEPTED, COVERAGE_HEADER, Coverage, decode_coverage, judge

LINE_START: Final = b'{"'
# A batch costs as much as two thousand of its rows, so whoever is this far behind, and shows
# nothing in time anyway, waits longer and catches up with fewer.
BEHIND_MS: Final = 3_000
BEHIND_FACTOR: Final = 3
HASHED_AT_ONCE: Final = 64  # lines: joined as a whole they would be copied out of every cache
DAY_MS: Final = 86_400_000
RECORD_OVERHEAD_BYTES: Final = 400  # of one waiting record in memory, beside its value


class Record(Protocol):
    """What the sink needs of a consumed record; aiokafka's has it."""

    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Limits(NamedTuple):
    """When a batch is full. `rows_max` and `bytes_max` may be passed by one record.

    `age_ms_max` is `BEHIND_FACTOR` times that for records that come `BEHIND_MS` late.
    """

    rows_max: int
    bytes_max: int
    age_ms_max: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Frozen: these bytes, or none. `accepted` and `rejected` are lines without their first {."""

    position: Position
    last: int
    origin_next: int
    accepted: tuple[bytes, ...]
    rejected: tuple[bytes, ...]
    repeats: int
    bytes_: int
    month: int
    recorded_min_ms: int
    recorded_max_ms: int

    @property
    def rows(self) -> int:
        """How many rows it brings, over both tables."""
        return len(self.accepted) + len(self.rejected)

    @property
    def gaps(self) -> int:
        """How many of its raw offsets hold no event."""
        return self.origin_next - self.position.expected - self.rows

    def behind(self) -> Position:
        """Return the position after it."""
        return Position(self.last + 1, self.position.incarnation, self.origin_next)

    def content(self) -> str:
        """Return the hash of what the batch holds, table by table."""
        digest = xxhash.xxh3_64()
        for lines in (self.accepted, self.rejected):
            for start in range(0, len(lines), HASHED_AT_ONCE):
                digest.update(b"\n".join(lines[start : start + HASHED_AT_ONCE]))
                digest.update(b"\n")
            digest.update(b"\n")
        return digest.hexdigest()

    def intent(self, deadline_s: int) -> Intent:
        """Return the announcement of this batch."""
        return Intent(
            self.last,
            self.origin_next,
            len(self.accepted),
            len(self.rejected),
            self.month,
            self.content(),
            deadline_s,
        )


def body(lines: Sequence[bytes], deadline_s: int) -> bytes:
    """Join the lines to what the store takes, each stamped with the batch's deadline."""
    start = b'{"batch_deadline":%d,' % deadline_s
    return start + (b"\n" + start).join(lines) + b"\n" if lines else b""


def month_of(timestamp_ms: int) -> int:
    """Return the ClickHouse partition of a broker's time: yyyymm in UTC."""
    return _month_of_day(timestamp_ms // DAY_MS)


@lru_cache(maxsize=64)
def _month_of_day(day: int) -> int:
    moment = datetime.fromtimestamp(day * DAY_MS // 1000, UTC)
    return moment.year * 100 + moment.month


class Cut(NamedTuple):
    """One step of the cutter: a batch to write, or where the position is after repeats only.

    `hole` tells what is missing; whatever came before the hole is in `batch`. `switch` is the
    incarnation that the next record has and the position hasn't.
    """

    batch: Batch | None
    position: Position
    hole: str = ""
    switch: str = ""


class Backlog:
    """The records of one partition that wait for their batch; bounded by who feeds it."""

    def __init__(self) -> None:
        self._waiting: deque[Record] = deque()
        self._feeds: deque[tuple[int, int, int]] = deque()  # its end, when it came by both clocks
        self._fed = 0
        self.bytes_ = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def feed(self, records: Iterable[Record], now_ms: int, wall_ms: int) -> int:
        """Take records in the order of their offsets; return the bytes that they hold.

        `now_ms` is of a clock that never jumps, as `due_in_ms` has it; `wall_ms` is the one to
        compare with the broker's times.
        """
        added = 0
        for record in records:
            added += len(record.value or b"") + RECORD_OVERHEAD_BYTES
            self._waiting.append(record)
            self._fed += 1
        self.bytes_ += added
        self._feeds.append((self._fed, now_ms, wall_ms))
        return added

    def due_in_ms(self, limits: Limits, now_ms: int) -> int:
        """Return how long to wait until a batch is due: 0 when it is; -1 if nothing waits."""
        if not self._waiting:
            return -1
        if len(self._waiting) >= limits.rows_max or self.bytes_ >= limits.bytes_max:
            return 0
        taken = self._fed - len(self._waiting)
        while self._feeds[0][0] <= taken:
            self._feeds.popleft()
        _end, fed_ms, wall_ms = self._feeds[0]
        is_behind = wall_ms - self._waiting[0].timestamp > BEHIND_MS
        age_ms_max = limits.age_ms_max * (BEHIND_FACTOR if is_behind else 1)
        return max(0, fed_ms + age_ms_max - now_ms)

    def has_reached(self, offset: int) -> bool:
        """Say whether the record at `offset`, or one behind it, waits."""
        return bool(self._waiting) and self._waiting[-1].offset >= offset

    def first_coverage(self) -> Coverage:
        """Return the coverage of the first record that waits."""
        return coverage_of(self._waiting[0])

    def cut(self, position: Position, limits: Limits, last: int | None = None) -> Cut:
        """Remove from the front what makes the next batch, at most up to record `last`.

        Cuts before the next month and the next incarnation. Raises `Broken` on a record that
        stage 1 would not have written; the records before it stay.
        """
        taken = _Taken(position)
        stop = _Stop("", "")
        while self._waiting:
            record = self._waiting[0]
            if last is not None and record.offset > last:
                break
            if taken.is_full(limits) and last is None:
                break
            stopped = taken.take(record)
            if stopped is not None:
                stop = stopped
                break
            self._waiting.popleft()
            self.bytes_ -= len(record.value or b"") + RECORD_OVERHEAD_BYTES
        return Cut(taken.batch(), taken.position(), stop.hole, stop.switch)


class _Stop(NamedTuple):
    hole: str
    switch: str


class _Taken:
    """A batch in the making."""

    def __init__(self, position: Position) -> None:
        assert position.intent is None, "an announced batch is read again, not cut anew"
        self._start = position
        self._expected = position.expected
        self._next = position.offset
        self._accepted: list[bytes] = []
        self._rejected: list[bytes] = []
        self._repeats = 0
        self._bytes = 0
        self._month = 0
        self._min_ms = self._max_ms = 0

    def is_full(self, limits: Limits) -> bool:
        rows = len(self._accepted) + len(self._rejected)
        return rows >= limits.rows_max or self._bytes >= limits.bytes_max

    def take(self, record: Record) -> _Stop | None:
        """Take one record; or say why not, changed nothing."""
        coverage = coverage_of(record)
        if coverage.incarnation != self._start.incarnation:
            return _Stop("", coverage.incarnation)
        verdict = judge(self._expected, coverage.from_, coverage.origin)
        if verdict == "hole":
            return _Stop(f"raw offsets {self._expected} to {coverage.from_ - 1} are missing", "")
        if verdict == "repeat":
            self._repeats += 1
            self._next = record.offset + 1
            return None
        month = month_of(record.timestamp)
        if self._month not in (0, month):
            return _Stop("", "")
        self._add(record, coverage, month)
        return None

    def _add(self, record: Record, coverage: Coverage, month: int) -> None:
        value = record.value
        if value is None or not value.startswith(LINE_START):
            raise Broken(f"record {record.offset} on audit.records is not a JSON line")
        (self._accepted if coverage.kind == ACCEPTED else self._rejected).append(value[1:])
        self._min_ms = min(self._min_ms, record.timestamp) if self._month else record.timestamp
        self._max_ms = max(self._max_ms, record.timestamp)
        self._month = month
        self._bytes += len(value)
        self._expected = coverage.origin + 1
        self._next = record.offset + 1

    def position(self) -> Position:
        """Return the position behind what was taken."""
        return Position(self._next, self._start.incarnation, self._expected)

    def batch(self) -> Batch | None:
        """Return the batch; None if nothing but repeats was taken."""
        if not self._accepted and not self._rejected:
            return None
        return Batch(
            self._start,
            self._next - 1,
            self._expected,
            tuple(self._accepted),
            tuple(self._rejected),
            self._repeats,
            self._bytes,
            self._month,
            self._min_ms,
            self._max_ms,
        )


def coverage_of(record: Record) -> Coverage:
    """Return the record's coverage. Raises `Broken` if it has none."""
    for name, value in record.headers:
        if name == COVERAGE_HEADER:
            return decode_coverage(value)
    raise Broken(f"record {record.offset} on audit.records has no coverage header")
