"""What Prometheus scrapes, and that its alerts look at metrics that there are."""

import ast
import functools
import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry

from cli.reference import metrics
from tests.unit.deploy.files import (
    DEPLOY,
    HEALTH_PORTS,
    PACKAGES,
    ROOT,
    SERVER,
    SERVICES,
    service_of,
)

RULES: Final = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def test_prometheus_scrapes_every_service_where_it_answers() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == SERVICES | {"clickhouse", "prometheus"}
    for name, port in HEALTH_PORTS.items():
        (found,) = jobs[name]["dns_sd_configs"]
        assert (found["names"], found["type"], found["port"]) == ([name], "A", port)
        assert set(service_of(name)["networks"]) & set(service_of("prometheus")["networks"])
    (target,) = jobs["clickhouse"]["static_configs"]
    assert target["targets"] == [f"clickhouse:{SERVER.findtext('prometheus/port')}"]
    assert config["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "cure"}
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


SUFFIXES: Final = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "info": ("_info",),
}


def _sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield name and tree of each module that has to do with metrics."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            if "prometheus_client" in text:
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield module, ast.parse(text)


def _families() -> Iterator[tuple[str, str]]:
    """Yield type and name of each metric, or family of a collector, that has a plain name."""
    for _, tree in _sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                kind = node.func.id.lower().removesuffix("metricfamily")
                if kind in SUFFIXES and isinstance(node.args[0], ast.Constant):
                    yield kind, str(node.args[0].value)


def _metric_classes() -> Iterator[tuple[str, str]]:
    """Yield module and class of each class that is made from a registry alone."""
    for module, tree in _sources():
        for node in ast.walk(tree):
            for function in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    names = [argument.arg for argument in function.args.args]
                    if names == ["self", "registry"] and not function.args.kwonlyargs:
                        assert isinstance(node, ast.ClassDef)
                        yield module, node.name


@functools.cache
def exported() -> frozenset[str]:
    """Return the name of every series that the services make, by making their metrics."""
    found = {name + suffix for kind, name in _families() for suffix in SUFFIXES[kind]}
    found.update(re.findall(r"^\| `(audit_\w+)`", metrics(), re.MULTILINE))
    for module, name in _metric_classes():
        registry = CollectorRegistry()
        kept = getattr(importlib.import_module(module), name)(registry)
        assert kept
        for family in registry.collect():
            found.update(family.name + suffix for suffix in SUFFIXES[family.type])
    return frozenset(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_looks_at_metrics_that_the_code_exports(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\baudit_\w+", rule["expr"]))
    assert named or "up{" in rule["expr"] or "up ==" in rule["expr"]
    assert named <= exported()


@pytest.mark.parametrize(
    "metric",
    [
        "audit_stage2_shed_total",
        "audit_stage2_entries_total",
        "audit_stage2_malformed_total",
        "audit_stage2_bugs_total",
        "audit_alerts_attempts_total",
        "audit_rules_refused",
        "audit_pipeline_cut_total",
        "audit_store_event_parts",
    ],
)
def test_what_weakens_detection_is_told(metric: str) -> None:
    assert any(metric in rule["expr"] for rule in RULES)


def test_each_rule_is_played_through() -> None:
    played = (DEPLOY / "prometheus" / "alerts_test.yml").read_text()
    for rule in RULES:
        assert f"alertname: {rule['alert']}\n" in played, rule["alert"]


def test_alerts_are_accepted_by_promtool() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(
            "promtool is not on this machine: deploy/README.md says what it found where it was"
        )
    for arguments in (
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ):
        done = subprocess.run(
            [promtool, *arguments],
            cwd=DEPLOY / "prometheus",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
