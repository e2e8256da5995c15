"""Progress: what is behind, and when that is a reason to restart."""

from aiokafka import ConsumerRecord

from pipeline.agents import Place, Progress
from pipeline.run import OutAlert, Output, OutRecord, Run

HERE = ("audit.events", 3)


class Watch:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def run(first: int, last: int) -> Run:
    records = [
        ConsumerRecord(*HERE, offset, 1, 0, None, b"", None, -1, 0, ())
        for offset in range(first, last + 1)
    ]
    return Run(*HERE, first, records)


def progress_at(watch: Watch, committed: int, end: int) -> Progress:
    progress = Progress(watch)
    progress.watch(lambda: Place(is_joined=True, offsets={HERE: (committed, end)}))
    return progress


def test_worker_that_has_not_started_is_not_joined_and_not_stuck() -> None:
    progress = Progress(Watch())
    assert not progress.is_joined
    assert progress.lags() == {}
    assert not progress.is_stuck(0.0)


def test_lag_counts_from_the_commit_until_something_is_delivered() -> None:
    progress = progress_at(Watch(), committed=10, end=30)
    assert progress.lags() == {HERE: 20}
    progress.note(run(10, 24), Output([], []))
    assert progress.lags() == {HERE: 5}


def test_lag_of_a_partition_that_came_back_counts_from_the_later_commit() -> None:
    progress = progress_at(Watch(), committed=10, end=30)
    progress.note(run(0, 4), Output([], []))
    assert progress.lags() == {HERE: 20}


def test_silence_without_work_is_no_reason_to_restart() -> None:
    watch = Watch()
    progress = progress_at(watch, committed=30, end=30)
    watch.now_s += 1000
    assert not progress.is_stuck(60)


def test_silence_with_work_is_one_until_something_is_delivered() -> None:
    watch = Watch()
    progress = progress_at(watch, committed=10, end=30)
    watch.now_s += 60
    assert not progress.is_stuck(60)
    watch.now_s += 1
    assert progress.is_stuck(60)
    progress.note(run(10, 11), Output([], []))
    assert not progress.is_stuck(60)


def test_totals_count_events_records_and_alerts() -> None:
    progress = Progress(Watch())
    output = Output([OutRecord(1, None, b"", ())] * 2, [OutAlert(b"k", b"v")])
    progress.note(run(0, 1), output)
    assert (progress.runs_total, progress.events_total) == (1, 2)
    assert (progress.records_total, progress.alerts_total) == (2, 1)
