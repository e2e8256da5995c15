"""`make bench`: all sections, or those that are named; tables to standard output.

python -m bench [stage1|sink|latency|load|disk|search|pages|export|growth|engine|stage2 …]
    [--full] [--write]
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import (
    backtest,
    cloudtrail,
    disk,
    engine,
    export,
    growth,
    latency,
    pages,
    path,
    report,
    search,
    sink,
    stage1,
    stage2,
    stateful,
)
from bench.broker import say
from bench.report import Table


def options(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--full", action="store_true", help="the sizes of docs/performance.md")
    parser.add_argument("--write", action="store_true", help="put tables in docs/performance.md")
    parser.add_argument("--events", type=int, help="events or rows of each section")
    parser.add_argument("--seconds", type=int, help="how long latency and growth look")
    parser.add_argument("--repeats", type=int, help="how often each contender runs, or is asked")
    parser.add_argument("--rate", type=int, default=1_000, help="events/s of latency and growth")
    parser.add_argument("--only", default="", help="stage1: contenders with this in their name")
    parser.add_argument(
        "--keep",
        type=Path,
        help="search, pages, export, backtest: keep the filled store in this folder",
    )
    chosen = parser.parse_args(argv)
    unknown = set(chosen.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return chosen


def _stage1(o: argparse.Namespace) -> Table:
    count = o.events or (400_000 if o.full else 150_000)
    window_s = 10.0 if o.full else 4.0
    repeats = o.repeats or (5 if o.full else 2)
    return stage1.run(count=count, repeats=repeats, window_s=window_s, only=o.only)


def _sink(o: argparse.Namespace) -> Table:
    count = o.events or (400_000 if o.full else 200_000)
    return sink.run(count=count, repeats=o.repeats or (3 if o.full else 1))


def _latency(o: argparse.Namespace) -> Table:
    return latency.run(seconds=o.seconds or (120 if o.full else 60), rate=o.rate)


def _load(o: argparse.Namespace) -> Table:
    return path.run(count=o.events or (2_000_000 if o.full else 300_000))


def _disk(o: argparse.Namespace) -> Table:
    return disk.run(rows=o.events or (1_000_000 if o.full else 200_000))


def _search(o: argparse.Namespace) -> Table:
    rows = o.events or (10_000_000 if o.full else 1_000_000)
    return search.run(rows=rows, repeats=o.repeats or (100 if o.full else 20), kept=o.keep)


def _pages(o: argparse.Namespace) -> Table:
    rows = o.events or (10_000_000 if o.full else 1_000_000)
    return pages.run(rows=rows, repeats=o.repeats or 20, kept=o.keep)


def _growth(o: argparse.Namespace) -> Table:
    rows_max = o.events or (10_000_000 if o.full else 500_000)
    return growth.run(seconds=o.seconds or (60 if o.full else 10), rate=o.rate, rows_max=rows_max)


def _stateful(o: argparse.Namespace) -> Table:
    count = o.events or (100_000 if o.full else 20_000)
    return stateful.run(count=count, groups=1_000_000 if o.full else 200_000)


def _stage2(o: argparse.Namespace) -> Table:
    count = o.events or (1_000_000 if o.full else 200_000)
    return stage2.run(signals=count, groups=count if o.full else count // 4)


def _export(o: argparse.Namespace) -> Table:
    return export.run(rows=o.events or (10_000_000 if o.full else 200_000), kept=o.keep)


def _engine(o: argparse.Namespace) -> Table:
    return engine.run(repeats=o.repeats or (9 if o.full else 5))


SECTIONS: Final[Mapping[str, Callable[[argparse.Namespace], Table]]] = {
    "stage1": _stage1,
    "sink": _sink,
    "latency": _latency,
    "load": _load,
    "disk": _disk,
    "search": _search,
    "pages": _pages,
    "growth": _growth,
    "stage2": _stage2,
    "stateful": _stateful,
    "engine": _engine,
    "export": _export,
    "cloudtrail": lambda _options: cloudtrail.run(),
    "backtest": lambda o: backtest.run(
        rows=o.events or (5_000_000 if o.full else 500_000), kept=o.keep
    ),
}


def main(argv: Sequence[str]) -> None:
    """Run the sections; each one's numbers are kept as soon as they are there."""
    chosen = options(argv)
    words = [word for word in argv if word not in (*SECTIONS, "--write")]
    for section in chosen.sections or SECTIONS:
        begun = time.monotonic()
        command = " ".join(("python -m bench", section, *words))
        table = replace(SECTIONS[section](chosen), command=command)
        report.keep(table)
        print(table.markdown(), flush=True)
        if chosen.write:
            report.write([table])
        say(f"{section} took {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
