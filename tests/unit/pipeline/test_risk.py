from typing import get_args

import pytest

from detections.rule import Finding
from pipeline.risk import BY_SEVERITY, raise_severity, score
from schemas.alert import Severity


def finding(severity: Severity, risk: int) -> Finding:
    return Finding("r", 1, severity, "t", "s", risk, (), "")


@pytest.mark.parametrize(
    ("base", "result", "found", "expected"),
    [
        ("info", "success", (), "info"),
        ("info", "unknown", (), "info"),
        ("info", "failure", (), "low"),
        ("info", "denied", (), "low"),
        ("medium", "failure", (), "medium"),
        ("info", "success", ("high",), "high"),
        ("critical", "success", ("low",), "critical"),
        ("low", "denied", ("medium", "critical", "info"), "critical"),
    ],
)
def test_severity_is_the_highest_of_all(
    base: Severity, result: str, found: tuple[Severity, ...], expected: Severity
) -> None:
    findings = [finding(severity, 0) for severity in found]
    assert raise_severity(base, result, findings) == expected


@pytest.mark.parametrize(
    ("severity", "result", "flags", "risks", "expected"),
    [
        ("info", "success", (), (), 0),
        ("low", "failure", (), (), 15),
        ("medium", "denied", ("protected", "off_hours"), (), 50),
        ("info", "success", ("private_ip", "unknown_fields"), (), 0),
        ("info", "success", ("inactive_user",), (30,), 50),
        ("critical", "denied", ("protected", "secret_masked"), (50,), 100),
    ],
)
def test_the_score_adds_the_table_up_and_is_clipped(
    severity: Severity, result: str, flags: tuple[str, ...], risks: tuple[int, ...], expected: int
) -> None:
    findings = [finding("info", risk) for risk in risks]
    assert score(severity, result, flags, findings) == expected


def test_every_severity_has_its_factor_and_a_higher_one_weighs_more() -> None:
    weights = [BY_SEVERITY[severity] for severity in get_args(Severity)]
    assert weights == sorted(set(weights))
