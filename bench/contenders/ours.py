"""Ours: the pipeline's worker with the same work, or with its whole stage."""

from collections.abc import Callable
from pathlib import Path

from bench.contenders.job import COMPRESSION, Job, job, judge
from bench.contenders.whole import whole_stage
from pipeline.agents import Routes
from pipeline.app import WorkerSettings, worker
from pipeline.run import Output, OutRecord, Run
from schemas.topics import ALERTS


def carrier(told: Job) -> Callable[[Run], Output]:
    """Return the stage: one record out for each in."""
    if told.work == "all":
        return whole_stage()
    work = judge(told.work)

    def stage(run: Run) -> Output:
        made = [
            OutRecord(r.timestamp, r.key, work(r.key, r.value, run.partition, r.offset, 0), ())
            for r in run.records
        ]
        return Output(made, [])

    return stage


def main() -> int:
    """Run until told to stop."""
    told = job()
    settings = WorkerSettings(
        told.group, told.bootstrap, Path(told.folder), compression=COMPRESSION
    )
    return worker(settings, carrier(told), Routes(told.source, told.target, ALERTS))


if __name__ == "__main__":
    raise SystemExit(main())
