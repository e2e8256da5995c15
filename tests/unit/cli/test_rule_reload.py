"""What is told of the rules at work: how many, and how hard they are to tell apart."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from cli.detecting import RuleWatch
from cli.rule_reload import RuleMetrics
from detections.rulebook import START, build
from runtime.settings import PipelineSettings
from tests.unit.cli.test_detecting import rule, settle

ALWAYS = """
title: Whatever it is
id: 00000000-0000-4000-8000-000000000009
name: whatever
logsource: {product: dutycall}
detection:
  selection: {action: a.b}
  condition: not selection
"""


def test_engine_tells_what_it_tried_of_the_rules_at_work(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(rule(1))
    watch, registry = RuleWatch([tmp_path], PipelineSettings()), CollectorRegistry()
    RuleMetrics(registry, watch)

    def value(name: str) -> float:
        return registry.get_sample_value(f"audit_rules_{name}") or 0.0

    predicates, always = value("predicates"), value("always")
    assert predicates > 0
    fields, derived, _ = build({"action": "our.own.deed"}, {}, START)
    watch.current.detector.judge(fields, derived)
    assert value("events_total") == 1
    assert value("candidates_total") >= always + 1
    (tmp_path / "two.yml").write_text(ALWAYS)
    assert settle(watch) is not None
    assert value("always") == always + 1
    assert value("predicates") > predicates
    assert value("events_total") == 0, "those of the rules at work"
