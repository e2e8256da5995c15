"""The Sigma engine alone: a JSON line in, matches out, one core; against rsigma where it is.

All times are CPU seconds, of all threads: others may be busy on the machine, and one core is asked.
Needs `../shared/data`. rsigma: `cargo install rsigma --version 0.23.0 --locked`.
"""

import gc
import gzip
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import yaml

from bench.broker import say
from bench.measure import median_ratio
from bench.report import Row, Table
from detections.rule import Derived
from detections.sigma.detector import SigmaDetector
from detections.sigma.load import load_rules
from detections.sigma.router import Route
from detections.sigma.ruleset import RuleFile
from detections.sigma.view import SOURCES

_Yaml = Any  # any value of a rule file

DATA: Final = Path(__file__).parents[2] / "shared" / "data"
FEW: Final = 1_000
MANY: Final = 20_000
RSIGMA_COPIES: Final = 20  # of the events: its start must not weigh
KEPT_FIELDS: Final = frozenset({"eventSource"})  # a clone asks other actions of the same services
UNKNOWN: Final = Derived(
    *(("",) * 8), asn=0, as_name="", client="", data_class="", is_protected=False, has_changes=False
)


def run(*, repeats: int) -> Table:
    """Measure loading, matching, growth with the rules, and rsigma."""
    if not DATA.is_dir():
        return Table("engine", "The Sigma engine", [], ["Not measured: no ../shared/data here."])
    lines = _events()
    everything, aws = _files(""), _files("rules/cloud/aws/")
    rows: list[Row] = []
    all_route = _measure_load(rows, "all rules of ../shared/data/sigmahq", everything)
    aws_route = _measure_load(rows, "its 57 AWS rules", aws)
    few = _measure_load(rows, f"{FEW:,} rules: AWS and clones", _with_clones(aws, FEW))
    many = _measure_load(rows, f"{MANY:,} rules: AWS and clones", _with_clones(aws, MANY))
    for name, route in (("57 AWS rules", aws_route), ("all rules, routed", all_route)):
        times = [_time_lines(route, lines) for _ in range(repeats)]
        rows.append(_speed(f"JSON line in, matches out: {name}", times, len(lines)))
    notes = [_compare_growth(few, many, lines, repeats), _differences(all_route, lines)]
    notes.append(_against_rsigma(aws_route, aws, lines, repeats))
    return Table("engine", "The Sigma engine alone, CPU time of one core", rows, notes)


def _events() -> list[bytes]:
    (path,) = (DATA / "cloudtrail").glob("*.jsonl.gz")
    return gzip.decompress(path.read_bytes()).splitlines()


def _files(part: str) -> list[RuleFile]:
    root = DATA / "sigmahq"
    paths = sorted(p for p in root.glob("rules*/**/*.yml") if part in f"{p.relative_to(root)}")
    return [RuleFile(str(p.relative_to(root)), p.read_bytes()) for p in paths]


def _with_clones(files: Sequence[RuleFile], count: int) -> list[RuleFile]:
    """Add clones of the rules with other literals and the same shape."""
    plain = [yaml.safe_load(file.text) for file in files]
    clones = [
        RuleFile(f"clone-{n}.yml", _clone(plain[n % len(plain)], n))
        for n in range(count - len(files))
    ]
    return [*files, *clones]


def _clone(rule: dict[str, Any], number: int) -> str:
    detection = {
        name: part if name == "condition" else _change(part, number, "")
        for name, part in rule["detection"].items()
    }
    named: dict[str, Any] = {
        "title": f"{rule['title']} {number}",
        "id": f"{number:08x}-0000-4000-8000-{0:012x}",
    }
    dates: dict[str, Any] = {key: str(rule[key]) for key in ("date", "modified") if key in rule}
    changed: dict[str, Any] = {**rule, **named, **dates, "detection": detection}
    return yaml.dump(changed)


def _change(part: _Yaml, number: int, field: str) -> _Yaml:
    if isinstance(part, dict):
        return {key: _change(value, number, key.split("|")[0]) for key, value in part.items()}
    if isinstance(part, list):
        return [_change(value, number, field) for value in part]
    if isinstance(part, str) and len(part) > 1 and field not in KEPT_FIELDS:
        return f"{part[:-1]}x{number}{part[-1]}"
    return part


def _measure_load(rows: list[Row], name: str, files: Sequence[RuleFile]) -> Route:
    gc.collect()
    begun = time.process_time()
    ruleset = load_rules(files)
    loaded = time.process_time()
    detector = SigmaDetector(ruleset)
    indexed = time.process_time()
    assert not ruleset.refusals, ruleset.refusals[0]
    seconds = f"{loaded - begun:.2f} + {indexed - loaded:.2f}"
    rows.append(
        {"what": f"load + index: {name}", "CPU s": seconds, "µs an event": "", "events/s": ""}
    )
    say(f"engine: {name}: {seconds} s")
    route = detector.router.source_route(SOURCES[0])
    assert route, "the AWS rules are there"
    return route


def _time_lines(route: Route, lines: Sequence[bytes]) -> float:
    match, loads = route.match, orjson.loads
    begun = time.process_time()
    for line in lines:
        match(loads(line), UNKNOWN)
    return time.process_time() - begun


def _speed(name: str, times: Sequence[float], count: int) -> Row:
    middle = statistics.median(times)
    micros = f"{middle / count * 1e6:.1f} (best {min(times) / count * 1e6:.1f})"
    return {"what": name, "CPU s": "", "µs an event": micros, "events/s": f"{count / middle:,.0f}"}


def _pairs(
    one: Callable[[], float], other: Callable[[], float], repeats: int
) -> tuple[list[float], list[float]]:
    """Time both in turn, so that a busy machine slows both."""
    both = [(one(), other()) for _ in range(repeats)]
    return [a for a, _ in both], [b for _, b in both]


def _compare_growth(few: Route, many: Route, lines: Sequence[bytes], repeats: int) -> str:
    docs = [orjson.loads(line) for line in lines]

    def timed(route: Route) -> float:
        begun = time.process_time()
        for doc in docs:
            route.match(doc, UNKNOWN)
        return time.process_time() - begun

    small, large = _pairs(lambda: timed(few), lambda: timed(many), max(repeats, 5))
    micros = [f"{statistics.median(times) / len(docs) * 1e6:.1f}" for times in (small, large)]
    return (
        f"{MANY:,} rules cost {median_ratio(large, small):.2f} times what {FEW:,} cost: "
        f"{micros[1]} and {micros[0]} µs an event, after the JSON is read."
    )


def _differences(route: Route, lines: Sequence[bytes]) -> str:
    docs = [orjson.loads(line) for line in lines]
    different = sum(route.match(doc, UNKNOWN) != route.full_scan(doc, UNKNOWN) for doc in docs)
    rate = route.candidates / route.events
    return f"Index against full scan: {different} differences; {rate:.2f} candidates an event."


def _against_rsigma(
    route: Route, files: Sequence[RuleFile], lines: Sequence[bytes], repeats: int
) -> str:
    binary = shutil.which("rsigma")
    if binary is None:
        return "rsigma: not on PATH, not compared."
    with tempfile.TemporaryDirectory(prefix="audit-bench-") as folder:
        rules = Path(folder) / "rules"
        rules.mkdir()
        for number, file in enumerate(files):
            assert isinstance(file.text, bytes), "as they were read"
            (rules / f"{number}.yml").write_bytes(file.text)
        once, often, out = (Path(folder) / name for name in ("one", "many", "out"))
        once.write_bytes(lines[0] + b"\n")
        often.write_bytes((b"\n".join(lines) + b"\n") * RSIGMA_COPIES)

        def theirs(events: Path) -> float:
            before = os.times()
            with events.open("rb") as source, out.open("wb") as sink:
                command = [binary, "engine", "eval", "-r", str(rules), "-q"]
                subprocess.run(command, stdin=source, stdout=sink, check=False)
            after = os.times()
            return (after.children_user + after.children_system) - (
                before.children_user + before.children_system
            )

        start = min(theirs(once) for _ in range(3))
        ours, other = _pairs(
            lambda: sum(_time_lines(route, lines) for _ in range(RSIGMA_COPIES)),
            lambda: theirs(often) - start,
            repeats,
        )
        found = out.read_bytes().count(b"\n") // RSIGMA_COPIES
    mine = sum(len(route.match(orjson.loads(line), UNKNOWN)) for line in lines)
    count = len(lines) * RSIGMA_COPIES
    return (
        f"rsigma 0.23.0, the same {len(files)} rules and events, in turn: ours "
        f"{count / statistics.median(ours):,.0f} events/s, rsigma "
        f"{count / statistics.median(other):,.0f}; ours is {median_ratio(other, ours):.2f} times "
        f"as fast. Matches in {len(lines):,} events: ours {mine}, rsigma {found}."
    )
