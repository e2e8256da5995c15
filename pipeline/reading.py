"""Where reading stands in each partition: what a run covers, and which runs have come back."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.run import RawRecord, Run
from schemas.errors import Broken

RUN_RECORDS_MAX: Final = 2_000  # some 40 ms of stage 1, in which nothing else has a turn
RUN_BYTES_MAX: Final = 4_194_304  # one record of the largest size and its like, twice

TopicPartition = tuple[str, int]  # Faust's and aiokafka's own are named tuples, and equal


@dataclass(slots=True)
class Course:
    """Where one partition of one assignment stands: `covered` < what `position` goes on from."""

    position: int
    covered: int


class Reading:
    """Knows for each partition up to where the offsets are accounted for."""

    def __init__(self) -> None:
        self._assignment: object = None
        self._courses: dict[TopicPartition, Course] = {}
        self._floors: dict[TopicPartition, int] = {}

    def begin(self, assignment: object) -> None:
        """Forget everything when partitions were handed out anew; `assignment` is its identity."""
        if assignment is not self._assignment:
            self._assignment = assignment
            self._courses.clear()
            self._floors.clear()

    def commit(self, tp: TopicPartition, offset: int) -> None:
        """Note that the group's offset for `tp` is `offset`; raises nothing, moves nothing."""
        self._floors[tp] = max(offset, self._floors.get(tp, 0))

    def fetch(self, tp: TopicPartition, position: int) -> int:
        """Return what a run read at `position` covers from; a jump starts its coverage anew.

        Raises `Broken` when the log ends below what was committed: the topic was made anew or
        truncated, and reading on from its start would look like repeats downstream.
        """
        floor = self._floors.get(tp, 0)
        if position < floor:
            raise Broken(
                f"{tp[0]}[{tp[1]}]: the log offers {position}, below the committed"
                f" {floor}: the topic was made anew (a restart goes on with it), or truncated"
                " (then reset the group's offsets)"
            )
        course = self._courses.get(tp)
        if course is None or course.position != position:
            course = self._courses[tp] = Course(position, position)
        return course.covered

    def advance(self, tp: TopicPartition, position: int, offset_last: int | None) -> None:
        """Note that reading moved on to `position`, past the record `offset_last` if any."""
        course = self._courses[tp]
        course.position = position
        if offset_last is not None:
            course.covered = offset_last + 1

    def gap(self, tp: TopicPartition, position: int) -> int | None:
        """Return where a forward jump to `position` began, or nothing if reading just goes on."""
        course = self._courses.get(tp)
        return course.position if course is not None and course.position < position else None


def cut_runs(
    tp: TopicPartition,
    position: int,
    records: Sequence[RawRecord],
    *,
    records_max: int = RUN_RECORDS_MAX,
    bytes_max: int = RUN_BYTES_MAX,
) -> list[Run]:
    """Cut records into runs within both bounds; a single record may exceed `bytes_max`.

    Conserves: the runs' records joined are `records`, and each run covers from the end of the
    one before.
    """
    sizes = [len(record.value or b"") + len(record.key or b"") for record in records]
    if len(records) <= records_max and sum(sizes) <= bytes_max:
        return [Run(*tp, position, records)]
    runs: list[Run] = []
    start = total = 0
    for index, size in enumerate(sizes):
        total += size
        if index > start and (index - start >= records_max or total > bytes_max):
            runs.append(Run(*tp, position, records[start:index]))
            position = records[index - 1].offset + 1
            start, total = index, size
    runs.append(Run(*tp, position, records[start:]))
    return runs


class Acks:
    """Which runs of each partition are out, and up to where they have come back.

    Bounded by the runs that are out: the agent's queue and one fetch.
    """

    def __init__(self) -> None:
        self._out: dict[TopicPartition, deque[int]] = {}
        self._done: dict[TopicPartition, set[int]] = {}

    def hand_out(self, tp: TopicPartition, run: Run) -> None:
        """Note that a run leaves; reading a place again forgets what was out from there on."""
        out = self._out.setdefault(tp, deque())
        done = self._done.setdefault(tp, set())
        while out and out[-1] >= run.records[0].offset:
            done.discard(out.pop())
        out.append(run.records[-1].offset)

    def take_back(self, tp: TopicPartition, offset_last: int) -> None:
        """Note that the run ending at `offset_last` is durable; unknown runs are ignored."""
        if offset_last in self._out.get(tp, ()):
            self._done[tp].add(offset_last)

    def committable(self, tp: TopicPartition) -> int | None:
        """Return 1 + the last offset below which every run came back, once; else nothing."""
        out, done = self._out.get(tp, deque()), self._done.get(tp, set())
        last: int | None = None
        while out and out[0] in done:
            last = out.popleft()
            done.discard(last)
        return None if last is None else last + 1

    def forget(self, tps: Iterable[TopicPartition]) -> None:
        """Drop what was out for partitions that move."""
        for tp in tps:
            self._out.pop(tp, None)
            self._done.pop(tp, None)
