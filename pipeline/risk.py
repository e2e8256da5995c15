"""Severity and risk of an event: a table of factors, added up and clipped to 0..100.

Blind spot: it knows one event, not what is usual for this user.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from detections.rule import Finding
from schemas.alert import SEVERITIES, Severity

SCORE_MAX: Final = 100

BY_SEVERITY: Final[Mapping[str, int]] = MappingProxyType(
    {"info": 0, "low": 10, "medium": 25, "high": 45, "critical": 70}
)
BY_RESULT: Final[Mapping[str, int]] = MappingProxyType({"failure": 5, "denied": 10, "error": 2})
BY_FLAG: Final[Mapping[str, int]] = MappingProxyType(
    {
        "protected": 10,
        "off_hours": 5,
        "inactive_user": 20,  # who has left should do nothing
        "secret_masked": 10,
        "forged_canary": 20,
        "forged_read": 20,
        "future": 10,  # a clock that is wrong, or made wrong
        "late": 5,
    }
)
# The least severity of an event that went so.
SEVERITY_MIN: Final[Mapping[str, Severity]] = MappingProxyType(
    {"failure": "low", "denied": "low", "error": "low"}
)
_RANKS: Final[Mapping[str, int]] = MappingProxyType(
    {severity: rank for rank, severity in enumerate(SEVERITIES)}
)


def raise_severity(base: Severity, result: str, findings: Sequence[Finding]) -> Severity:
    """Return the highest of the catalogue's, the result's and the findings' severities."""
    highest = max(base, SEVERITY_MIN.get(result, "info"), key=_RANKS.__getitem__)
    for finding in findings:
        highest = max(highest, finding.severity, key=_RANKS.__getitem__)
    return highest


def score(
    severity: Severity, result: str, flags: Iterable[str], findings: Sequence[Finding]
) -> int:
    """Add the factors up, of the severity before the findings raised it: they add their own."""
    total = BY_SEVERITY[severity] + BY_RESULT.get(result, 0)
    for flag in flags:
        total += BY_FLAG.get(flag, 0)
    for finding in findings:
        total += finding.risk
    return min(total, SCORE_MAX)
