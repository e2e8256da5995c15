"""Writes the pages of docs/ that the code knows better: `python -m cli.reference PAGE`."""

import ast
import sys
from pathlib import Path
from typing import Final, cast, get_args

from annotated_types import Ge, Le, MaxLen
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from pydantic.fields import FieldInfo

from cli.canary_service import CanaryMetrics, CanaryPorts, CanaryRunner
from cli.detecting import RuleWatch
from cli.outbox_service import measure_outbox
from cli.rule_folder import shipped
from cli.rule_reload import RuleMetrics
from cli.rules_shared import Loud, kind_of, loud_of
from cli.stage2_service import measure_stage2
from console.record.outbox import Filling
from console.web.metrics import ConsoleMetrics
from consumers.alerts.tally import Tally as AlertTally
from consumers.sink.metrics import SinkMetrics
from consumers.sink.reconcile import ReconcileMetrics
from detections.canary_watch import Pace
from detections.sigma.load import load_rules
from pipeline.agents import Progress
from pipeline.app import WorkerSettings
from pipeline.metrics import PipelineMetrics
from pipeline.stage import Tally
from pipeline.stage2 import Book, BookTerms, Rules
from pipeline.stage2_app import Stage2Worker
from runtime.metrics import ProcessMetrics
from runtime.settings import ALL, PipelineSettings, ServiceSettings

CONFIGURATION: Final = """# Configuration
Made by `python -m cli.reference configuration > docs/configuration.md`; a test keeps it true.

Every setting has a name, a unit in the name, a bound and a default. It comes from the environment
(`AUDIT_SINK_ROWS_MAX=20000`) or from the file that `--config` or `AUDIT_CONFIG` names: TOML with a
section a service (`[sink]`, `rows_max = 20000`), or lines of `NAME=value`. The environment wins.
`audit serve SERVICE --check` prints what a service would run with, secrets hidden, and everything
that is wrong; a misspelt `AUDIT_` name is an error, never ignored.

`audit up` sets the addresses, ports and the store of its own services; everything else is yours to
set in its environment. Of the command line: `AUDIT_DATA_DIR` (the data folder), `AUDIT_API_URL` and
`AUDIT_API_TOKEN_FILE` (where the reading commands ask).
"""


METRICS: Final = """# Metrics
Made by `python -m cli.reference metrics > docs/metrics.md`; a test keeps it true.

Each service serves Prometheus metrics at `/metrics` on its health port, beside `/live` and
`/ready`, which names what is missing. deploy/prometheus/alerts.yml holds the alert rules on them.

| metric | type | labels | meaning |
|---|---|---|---|
"""

DETECTIONS: Final = """# Detections
Made by `python -m cli.reference detections > docs/detections.md`; a test keeps it true.

The rules that ship, by the folder of `detections/rules/` that they are in; each has its tests
beside it. How to write, try and change rules: [detection.md](detection.md). What those with a
memory mean: [behaviours.md](behaviours.md). An alert about something that had happened more than a
day before the broker saw it is historical: stored and shown, never paged.
"""
PACKAGES: Final = (
    "schemas",
    "detections",
    "runtime",
    "producers",
    "pipeline",
    "consumers",
    "console",
    "cli",
    "bench",
)
ROOT: Final = Path(__file__).parent.parent


def configuration() -> str:
    """Return docs/configuration.md."""
    return CONFIGURATION + "".join(_section(cls) for cls in ALL)


def metrics() -> str:
    """Return docs/metrics.md: every metric of every service, registered as the services do."""
    registry = CollectorRegistry()
    SinkMetrics(registry)
    ReconcileMetrics(registry)
    AlertTally(registry)
    ProcessMetrics(registry)
    PipelineMetrics(registry, Tally(), Progress())
    watch = RuleWatch((), PipelineSettings())
    RuleMetrics(registry, watch)
    rules = Rules(watch.current.keeper, watch.current.version)
    bounds = BookTerms(1, 0)
    idle = Stage2Worker(
        WorkerSettings("", "", Path()), lambda _partition: Book(rules, bounds, lambda: 0.0)
    )
    measure_stage2(registry, rules, idle)
    CanaryMetrics(registry, CanaryRunner(cast("CanaryPorts", _Nothing()), b"", Pace(0, 0)))
    ConsoleMetrics(registry)
    measure_outbox(registry, Filling(), lambda: 0.0)
    rows = sorted(_metric(collector) for collector in _collectors(registry))
    return METRICS + "".join(row for group in rows for row in group)


class _Nothing:
    """Stands for ports that nobody calls."""

    store = None


def detections() -> str:
    """Return docs/detections.md: the rules that ship, those of a folder together."""
    folders: dict[str, list[Loud]] = {}
    for rule in loud_of(load_rules(shipped().rules)):
        folders.setdefault(rule.path.split("/")[1], []).append(rule)
    return DETECTIONS + "".join(
        f"\n## {folder}\n" + "".join(map(_rule, rules)) for folder, rules in sorted(folders.items())
    )


def _rule(rule: Loud) -> str:
    told = "; ".join(rule.false_positives) or "none known"
    return (
        f"\n### {rule.title}\n`{rule.rule_id}`, {kind_of(rule)}, version {rule.version}, severity"
        f" {rule.severity}, risk {rule.risk}, {', '.join(rule.tags)}\n\n{rule.why}\n\n"
        f"- Often harmless: {told}\n- Look:\n\n```\n{rule.runbook}\n```\n"
    )


def files() -> str:
    """Return the file map: each module with the first line of its docstring."""
    rows = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if about:
                first = about.splitlines()[0].replace("|", "\\|")
                rows.append(f"| `{path.relative_to(ROOT)}` | {first} |\n")
    return "| module | what it is for |\n|---|---|\n" + "".join(rows)


def _collectors(registry: CollectorRegistry) -> list[Collector]:
    return list(registry._collector_to_names)  # noqa: SLF001 - it lists families without samples


def _metric(collector: Collector) -> list[str]:
    labels = ", ".join(getattr(collector, "_labelnames", ()))
    rows = []
    for family in collector.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        named = labels or ", ".join(getattr(family, "_labelnames", ()))
        rows.append(f"| `{name}` | {family.type} | {named} | {family.documentation} |\n")
    return rows


def _section(cls: type[ServiceSettings]) -> str:
    title = cls.section().capitalize()
    about = (cls.__doc__ or "").splitlines()[0]
    rows = "".join(_row(cls, name, info) for name, info in cls.model_fields.items())
    head = "| setting | default | bounds | meaning |\n|---|---|---|---|\n"
    return f"\n## {title}\n{about}\n\n{head}{rows}"


def _row(cls: type[ServiceSettings], name: str, info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True)
    hidden = getattr(default, "get_secret_value", None)
    value = hidden() if hidden else default
    text = str(value).lower() if isinstance(value, bool) else str(value)
    shown = "" if value in (None, (), "") else f"`{text}`"
    meaning = " ".join((info.description or "").split()).replace("|", "\\|")
    return f"| `{cls.variable(name)}` | {shown} | {_bounds(info)} | {meaning} |\n"


def _bounds(info: FieldInfo) -> str:
    choices = [str(choice) for choice in get_args(info.annotation) if isinstance(choice, str)]
    if choices:
        return ", ".join(choices)
    low = next((m.ge for m in info.metadata if isinstance(m, Ge)), None)
    high = next((m.le for m in info.metadata if isinstance(m, Le)), None)
    most = next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None)
    if low is not None:
        return f"{low} to {high}"
    return f"at most {most}" if most is not None else ""


if __name__ == "__main__":
    pages = {
        "configuration": configuration,
        "metrics": metrics,
        "detections": detections,
        "files": files,
    }
    sys.stdout.write(pages[sys.argv[1]]())
