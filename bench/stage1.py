"""Stage 1: the same bytes through each contender, in turn and repeatedly, on one broker."""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.broker import Watch, broker, make_topics, plain_topic, say
from bench.contenders.job import Job, Work
from bench.load import events, fill
from bench.measure import median_ratio, usage
from bench.report import Table
from runtime.broker import EmbeddedKafka
from runtime.processes import spawn
from runtime.topics import delete_topics
from schemas.topics import EVENTS, topic_specs

ROOT: Final = Path(__file__).parent.parent
OURS: Final = Path(sys.executable)
THEIRS: Final = ROOT / ".venv-bench" / "bin" / "python"  # their pins contradict ours
LOCK: Final = ROOT / "bench" / "requirements.lock"
START_S: Final = 45.0  # from spawn to the first output: imports, the group's first rebalance
POLL_S: Final = 0.02
STOP_S: Final = 10.0
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Contender:
    """A way of doing the work; `module` is a program in bench/contenders."""

    name: str
    module: str
    work: Work
    python: Path = OURS
    is_tuned: bool = False


CONTENDERS: Final = (
    Contender("aiokafka alone, no work (the limit)", "raw", "none"),
    Contender("plain Faust, pydantic + send", "plain_faust", "validate"),
    Contender(
        "plain Faust, pydantic + send, linger 5 ms", "plain_faust", "validate", is_tuned=True
    ),
    Contender("Quix Streams, pydantic", "quix", "validate", THEIRS),
    Contender("Bytewax, pydantic", "bytewax_flow", "validate", THEIRS),
    Contender("ours, no work", "ours", "none"),
    Contender("ours, pydantic", "ours", "validate"),
    Contender("plain Faust, all of stage 1 + send", "plain_faust", "all"),
    Contender("Quix Streams, all of stage 1", "quix", "all", THEIRS),
    Contender("Bytewax, all of stage 1", "bytewax_flow", "all", THEIRS),
    Contender("ours, all of stage 1", "ours", "all"),
)
BASELINES: Final = {
    "plain Faust, pydantic + send": "/ plain Faust",
    "plain Faust, pydantic + send, linger 5 ms": "/ with linger",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: events a second, CPU of the contender and of Kafka an event, peak memory."""

    events_per_s: float
    cpu_us: float
    broker_cpu_us: float
    peak_mib: float


def run(*, count: int, repeats: int, window_s: float, only: str = "") -> Table:
    """Measure all contenders whose name contains `only`, and tabulate medians and ratios."""
    chosen = [c for c in CONTENDERS if only in c.name or c.name in BASELINES]
    with broker() as kafka:
        say(f"stage 1: writing {count:,} events to {EVENTS}")
        make_topics(kafka.bootstrap, *topic_specs())
        fill(kafka.bootstrap, EVENTS, events(count))
        _measure(kafka, CONTENDERS[0], count, window_s, "warm-up")
        samples: dict[str, list[Sample]] = {c.name: [] for c in chosen}
        for repeat in range(repeats):
            for contender in chosen:
                sample = _measure(kafka, contender, count, window_s, f"{repeat + 1}/{repeats}")
                samples[contender.name].append(sample)
    return _table(samples, count=count, repeats=repeats)


def _measure(
    kafka: EmbeddedKafka, contender: Contender, count: int, window_s: float, label: str
) -> Sample:
    target = f"bench-{next(_NUMBERS)}-{contender.module}-{contender.work}"
    make_topics(kafka.bootstrap, plain_topic(target))
    with tempfile.TemporaryDirectory(prefix="audit-bench-") as folder:
        job = Job(
            kafka.bootstrap, EVENTS, target, target, contender.work, folder, contender.is_tuned
        )
        with contender_process(contender, job) as process:
            sample = asyncio.run(_watch(kafka, process, target, count, window_s))
    asyncio.run(delete_topics(kafka.bootstrap, [target]))
    say(f"  {label:8} {contender.name:42} {sample.events_per_s:>9,.0f}/s {sample.cpu_us:6.1f} µs")
    return sample


@contextmanager
def contender_process(contender: Contender, job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """Run a contender until the block ends; its output is shown if it died before."""
    argv = [str(contender.python), "-m", f"bench.contenders.{contender.module}", job.argument()]
    environment = {"PATH": os.defpath, "HOME": job.folder, "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile() as output:
        process = spawn(argv, env=environment, output=output, cwd=ROOT)
        try:
            yield process
        finally:
            died = process.poll()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if died is not None:
                output.seek(0)
                say(output.read()[-4_000:].decode(errors="replace"))


async def _watch(
    kafka: EmbeddedKafka,
    process: subprocess.Popen[bytes],
    target: str,
    count: int,
    window_s: float,
) -> Sample:
    """Time the output from its first record on, until all is there or the window is over."""
    assert kafka.pid is not None
    async with Watch(kafka.bootstrap, target) as watch:
        deadline = time.monotonic() + START_S
        while (first := await watch.count()) == 0:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{target}: no output within {START_S:g} s, or it died")
            await asyncio.sleep(POLL_S)
        start_s, before, broker_before = time.monotonic(), usage(process.pid), usage(kafka.pid)
        seen = first
        while seen < count and time.monotonic() - start_s < window_s:
            await asyncio.sleep(POLL_S)
            seen = await watch.count()
        took_s = time.monotonic() - start_s
        after, broker_after = usage(process.pid), usage(kafka.pid)
    done = seen - first
    if done <= 0:
        raise SystemExit(f"{target}: {count:,} events are too few to time it")
    return Sample(
        done / took_s,
        (after.cpu_s - before.cpu_s) / done * 1e6,
        (broker_after.cpu_s - broker_before.cpu_s) / done * 1e6,
        after.peak_mib,
    )


def _table(samples: dict[str, list[Sample]], *, count: int, repeats: int) -> Table:
    bases = {column: [s.events_per_s for s in samples[name]] for name, column in BASELINES.items()}
    rows = []
    for name, runs in samples.items():
        rates = [s.events_per_s for s in runs]
        rows.append(
            {
                "contender": name,
                "events/s": round(statistics.median(rates)),
                "least": round(min(rates)),
                "most": round(max(rates)),
                **{c: round(median_ratio(rates, base), 2) for c, base in bases.items()},
                "CPU µs": round(statistics.median(s.cpu_us for s in runs), 1),
                "Kafka CPU µs": round(statistics.median(s.broker_cpu_us for s in runs), 1),
                "peak MiB": round(max(s.peak_mib for s in runs)),
            }
        )
    title = f"Stage 1: {count:,} events of 1 kB, 4 partitions, median of {repeats} in turn"
    return Table("stage1", title, rows, [_conditions()])


def _conditions() -> str:
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", LOCK.read_text("utf-8"), re.MULTILINE))
    return (
        f"faust-streaming {version('faust-streaming')}, quixstreams {locked['quixstreams']},"
        f" bytewax {locked['bytewax']}. All with acks=all and, but for plain Faust in its"
        " defaults, zstd. The time runs from the first record out to the last, CPU likewise."
        " Bytewax keeps no offsets here; only ours writes coverage and sends the alerts."
        " The ratios are medians of the ratios run by run; `/ with linger` is against Faust with"
        " a setting that its defaults lack."
    )
