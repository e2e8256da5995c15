"""Which partitions have nothing to read, and since when that is known."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from pipeline.agents import Place, Progress
from pipeline.run import Output, Run

ZERO, ONE = ("audit.events", 0), ("audit.events", 1)


OFFSETS = {ZERO: (10, 10), ONE: (10, 12)}
POLLED_MS = {ZERO: 7, ONE: 8}


def placed(
    offsets: Mapping[tuple[str, int], tuple[int, int]] = OFFSETS,
    polled_ms: Mapping[tuple[str, int], int] = POLLED_MS,
) -> Callable[[], Place]:
    return lambda: Place(is_joined=True, offsets=offsets, polled_ms=polled_ms)


def delivered(partition: int, offset: int) -> Run:
    record: Any = SimpleNamespace(offset=offset)
    return Run("audit.events", partition, offset, [record])


def test_partition_is_idle_when_all_of_it_is_delivered() -> None:
    progress = Progress()
    progress.watch(placed())
    assert progress.idle() == {0: 7}
    progress.note(delivered(1, 10), Output([], []))
    assert progress.idle() == {0: 7}
    progress.note(delivered(1, 11), Output([], []))
    assert progress.idle() == {0: 7, 1: 8}


def test_partition_of_which_no_end_is_known_is_not_idle() -> None:
    progress = Progress()
    progress.watch(placed(offsets={ZERO: (10, 10)}))
    assert progress.idle() == {0: 7}
    progress.watch(placed(polled_ms={}))
    assert progress.idle() == {}
