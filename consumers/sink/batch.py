"""Records to batches: which to take, and where to cut. Pure.

A batch is a run of records whose content is a function of the position and the topic alone:
whoever reads the same records from the same position to the same end has the same bytes.
"""

import sys
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
# A batch costs as much as two thousand of its rows, and its part is merged later for as much as its
# insert. So whoever has many rows to show, or is so far behind that it shows nothing in time
# anyway, waits longer and needs fewer.
BUSY_ROWS: Final = 250
BEHIND_MS: Final = 3_000
BUSY_FACTOR: Final = 6
LINES_AT_ONCE: Final = 64  # joined as a whole they would be copied out of every cache
DAY_MS: Final = 86_400_000


class Record(Protocol):
    """What the sink needs of a consumed record; aiokafka's has it."""

    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Run(Protocol):
    """Consecutive records of a partition, held compressed; consumers/sink/runs.py has Kafka's."""

    @property
    def count(self) -> int:
        """How many records, at most."""
        ...

    @property
    def last(self) -> int:
        """The last one's offset."""
        ...

    @property
    def timestamp(self) -> int:
        """The first one's time."""
        ...

    @property
    def bytes_(self) -> int:
        """What it holds in memory until it is opened."""
        ...

    def open(self) -> Sequence[Record]:
        """Return the records, once. Raises `Broken` if they can't be read."""
        ...


class Limits(NamedTuple):
    """When a batch is full. `rows_max` and `bytes_max` may be passed by one record.

    `age_ms_max` is as much again for each `BUSY_ROWS` that wait, up to `BUSY_FACTOR` times; and
    that for records that come `BEHIND_MS` late.
    """

    rows_max: int
    bytes_max: int
    age_ms_max: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Frozen: these lines, or none. `content` is their hash, table by table."""

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
    content: str

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

    def intent(self, deadline_s: int) -> Intent:
        """Return the announcement of this batch."""
        return Intent(
            self.last,
            self.origin_next,
            len(self.accepted),
            len(self.rejected),
            self.month,
            self.content,
            deadline_s,
        )


def content_of(*tables: Sequence[bytes]) -> str:
    """Return the hash of lines, table by table."""
    digest = xxhash.xxh3_64()
    for lines in tables:
        for start in range(0, len(lines), LINES_AT_ONCE):
            digest.update(b"\n".join(lines[start : start + LINES_AT_ONCE]))
            digest.update(b"\n")
        digest.update(b"\n")
    return digest.hexdigest()


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
    """The runs of one partition that wait for their batch; bounded by who feeds it."""

    def __init__(self) -> None:
        self._open: deque[Record] = deque()  # what is left of the run that was opened last
        self._opened = _Fed(0, 0, 0)
        self._waiting: deque[tuple[Run, _Fed]] = deque()
        self._rows = 0
        self._expansion = 1  # of the bytes of the last run when it was opened
        self.bytes_ = 0

    def __len__(self) -> int:
        return self._rows + len(self._open)

    def feed(self, runs: Iterable[Run], now_ms: int, wall_ms: int) -> None:
        """Take runs in the order of their offsets.

        `now_ms` is of a clock that never jumps, as `due_in_ms` has it; `wall_ms` is the one to
        compare with the broker's times.
        """
        for run in runs:
            self._waiting.append((run, _Fed(now_ms, wall_ms, run.timestamp)))
            self._rows += run.count
            self.bytes_ += run.bytes_

    def due_in_ms(self, limits: Limits, now_ms: int) -> int:
        """Return how long to wait until a batch is due: 0 when it is; -1 if nothing waits."""
        if not len(self):
            return -1
        if len(self) >= limits.rows_max or self.bytes_ * self._expansion >= limits.bytes_max:
            return 0
        fed = self._opened if self._open else self._waiting[0][1]
        is_behind = fed.wall_ms - fed.timestamp > BEHIND_MS
        factor = BUSY_FACTOR if is_behind else min(BUSY_FACTOR, 1 + len(self) // BUSY_ROWS)
        return max(0, fed.now_ms + limits.age_ms_max * factor - now_ms)

    def has_reached(self, offset: int) -> bool:
        """Say whether the record at `offset`, or one behind it, waits."""
        if self._waiting:
            return self._waiting[-1][0].last >= offset
        return bool(self._open) and self._open[-1].offset >= offset

    def first_coverage(self) -> Coverage:
        """Return the coverage of the first record that waits."""
        assert self._open or self._open_next(), "asked for what the last cut left"
        return coverage_of(self._open[0])

    def cut(self, position: Position, limits: Limits, last: int | None = None) -> Cut:
        """Remove from the front what makes the next batch, at most up to record `last`.

        Cuts before the next month and the next incarnation. Raises `Broken` on a record that
        stage 1 would not have written; the records before it stay.
        """
        taken = _Taken(position)
        stop = None
        while stop is None and (self._open or self._open_next()):
            stop = taken.take(self._open, limits, last)
        stop = stop or _FULL
        return Cut(taken.batch(), taken.position(), stop.hole, stop.switch)

    def _open_next(self) -> bool:
        """Open the next run that has records; False if none waits."""
        while self._waiting and not self._open:
            run, self._opened = self._waiting.popleft()
            self._rows -= run.count
            self.bytes_ -= run.bytes_
            self._open.extend(run.open())
            opened = sum(len(record.value or b"") for record in self._open)
            self._expansion = max(1, opened // max(1, run.bytes_))
        return bool(self._open)


class _Fed(NamedTuple):
    """When a run came, by both clocks, and the broker's time of it."""

    now_ms: int
    wall_ms: int
    timestamp: int


class _Stop(NamedTuple):
    hole: str
    switch: str


_FULL: Final = _Stop("", "")


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
        self._day = -1  # no record's: the first one is looked at
        self._min_ms = self._max_ms = 0

    def take(self, records: deque[Record], limits: Limits, last: int | None) -> _Stop | None:
        """Take records from the front; None if all, else why not the one that is then first."""
        while records:
            self._take_usual(records, limits, last)
            if not records:
                return None
            if last is not None:
                if records[0].offset > last:
                    return _FULL
            elif self._is_full(limits):
                return _FULL
            stopped = self._take(records[0])
            if stopped is not None:
                return stopped
            records.popleft()
        return None

    def _take_usual(self, records: deque[Record], limits: Limits, last: int | None) -> None:
        """Take from the front what is accepted, next, and of the same day as the one before.

        Only what `_take` would do with these, for a fifth of its time; it decides on any other.
        """
        accepted, expected = self._accepted, self._expected
        start = f"{ACCEPTED}:{self._start.incarnation}:".encode()
        room = sys.maxsize if last is not None else limits.rows_max - self._rows()
        bytes_max = sys.maxsize if last is not None else limits.bytes_max
        last = sys.maxsize if last is None else last
        while records and room > 0 and self._bytes < bytes_max:
            record = records[0]
            value = record.value
            if (
                record.headers != [(COVERAGE_HEADER, b"%b%d:%d" % (start, expected, expected))]
                or value is None
                or not value.startswith(LINE_START)
                or record.timestamp // DAY_MS != self._day
                or record.offset > last
            ):
                break
            records.popleft()
            accepted.append(value)
            room, expected = room - 1, expected + 1
            self._bytes += len(value)
            self._stamp(record)
        self._expected = expected

    def _stamp(self, record: Record) -> None:
        timestamp = record.timestamp
        if timestamp > self._max_ms:
            self._max_ms = timestamp
        elif timestamp < self._min_ms:
            self._min_ms = timestamp
        self._next = record.offset + 1

    def _rows(self) -> int:
        return len(self._accepted) + len(self._rejected)

    def _is_full(self, limits: Limits) -> bool:
        return self._rows() >= limits.rows_max or self._bytes >= limits.bytes_max

    def _take(self, record: Record) -> _Stop | None:
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
            return _FULL
        self._add(record, coverage, month)
        return None

    def _add(self, record: Record, coverage: Coverage, month: int) -> None:
        value = record.value
        if value is None or not value.startswith(LINE_START):
            raise Broken(f"record {record.offset} on audit.records is not a JSON line")
        (self._accepted if coverage.kind == ACCEPTED else self._rejected).append(value)
        if not self._month:
            self._min_ms = self._max_ms = record.timestamp
        self._month, self._day = month, record.timestamp // DAY_MS
        self._bytes += len(value)
        self._expected = coverage.origin + 1
        self._stamp(record)

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
            content_of(self._accepted, self._rejected),
        )


def coverage_of(record: Record) -> Coverage:
    """Return the record's coverage. Raises `Broken` if it has none."""
    for name, value in record.headers:
        if name == COVERAGE_HEADER:
            return decode_coverage(value)
    raise Broken(f"record {record.offset} on audit.records has no coverage header")
