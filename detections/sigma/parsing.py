"""One document into what it means: pySigma parses and validates, every fault is a `BadRule`."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import re2
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import (
    SigmaConditionError,
    SigmaDateError,
    SigmaError,
    SigmaIdentifierError,
    SigmaLevelError,
    SigmaLogsourceError,
    SigmaStatusError,
    SigmaTagError,
)
from sigma.filters import SigmaFilter
from sigma.policy.profiles import SafePolicy
from sigma.rule import SigmaDetection, SigmaDetections, SigmaLogSource
from sigma.rule import SigmaRule as ParsedRule

from detections.sigma.condition import parse_condition
from detections.sigma.documents import Document
from detections.sigma.faults import BadRule
from detections.sigma.leaves import Placeholders, read_detection
from detections.sigma.mapping import map_fields
from detections.sigma.numbers import fill_numbers
from detections.sigma.ruleset import RISK_OF_SEVERITY, SEVERITY_OF_LEVEL, Logsource
from detections.sigma.tree import Tree, any_of, check_bounds

REASON_LENGTH_MAX: Final = 400
ID_LENGTH_MAX: Final = 128  # as alerts have it
RISK_MAX: Final = 1_000
VERSION_MAX: Final = 1_000_000_000

# What pySigma raises on documents that are no rules at all, beside its own errors.
_FAULTS: Final = (
    SigmaError,
    re2.error,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_PLACES: Final[Mapping[type[Exception], str]] = {
    SigmaConditionError: "detection.condition",
    SigmaDateError: "date",
    SigmaIdentifierError: "id",
    SigmaLevelError: "level",
    SigmaLogsourceError: "logsource",
    SigmaStatusError: "status",
    SigmaTagError: "tags",
}
_T = TypeVar("_T")


class Selected(NamedTuple):
    """What a rule's logsource and detection mean."""

    logsource: Logsource
    tree: Tree


def _guarded(build: Callable[[], _T], at: str) -> _T:
    """Run pySigma on a document; whatever it raises becomes a `BadRule`."""
    try:
        return build()
    except _FAULTS as error:
        at = next((place for kind, place in _PLACES.items() if isinstance(error, kind)), at)
        raise BadRule(_say(error), at) from error


def _say(error: Exception) -> str:
    told = str(error) if isinstance(error, SigmaError) else f"malformed ({type(error).__name__})"
    return " ".join(told.split())[:REASON_LENGTH_MAX]


def parse_rule(document: Document, placeholders: Placeholders) -> Selected:
    """Parse a rule over single events. Raises `BadRule`."""
    plain = document.value
    detection = plain.get("detection")
    if isinstance(detection, dict) and "timeframe" in detection:
        reason = "`timeframe` is not part of Sigma 2: write a correlation"
        raise BadRule(reason, "detection.timeframe")
    if isinstance(detection, dict):
        parts = detection.items()
        filled = {k: fill_numbers(part, placeholders, f"detection.{k}") for k, part in parts}
        plain = {**plain, "detection": filled}
    parsed = _guarded(lambda: _parse(plain), "detection")
    _guarded(lambda: map_fields(parsed), "detection")
    detections = parsed.detection.detections
    conditions = parsed.detection.condition
    tree = _read(detections, conditions, placeholders)
    _untie(parsed.detection)
    return Selected(_logsource_of(parsed.logsource), tree)


def _parse(plain: dict[str, Any]) -> ParsedRule:
    try:
        return ParsedRule.from_dict(plain, policy=SafePolicy)
    except _FAULTS as error:
        for name, definition in _selections_of(plain):
            try:
                SigmaDetection.from_definition(definition, policy=SafePolicy)
            except _FAULTS as nearer:
                raise BadRule(_say(nearer), f"detection.{name}") from error
        raise


def _selections_of(plain: dict[str, Any]) -> list[tuple[str, Any]]:
    detection = plain.get("detection")
    if not isinstance(detection, dict):
        return []
    return [(name, part) for name, part in detection.items() if name != "condition"]


def _read(
    detections: Mapping[str, SigmaDetection],
    conditions: list[str],
    placeholders: Placeholders,
    under: str = "detection",
) -> Tree:
    known: dict[str, Tree] = {}

    def resolve(name: str) -> Tree:
        if name not in known:
            known[name] = _guarded(
                lambda: read_detection(detections[name], placeholders, f"{under}.{name}"),
                f"{under}.{name}",
            )
        return known[name]

    if not conditions:
        raise BadRule("the list of conditions is empty", f"{under}.condition")
    names = list(detections)
    tree = any_of([parse_condition(text, names, resolve) for text in conditions])
    check_bounds(tree)
    return tree


def _untie(read: SigmaDetections) -> None:
    """Take apart what names its parents: only the collector would free it, and it may rest."""
    read.parsed_condition.clear()
    for detection in read.detections.values():
        detection.detection_items.clear()


def _logsource_of(logsource: SigmaLogSource) -> Logsource:
    return Logsource(
        (logsource.category or "").lower(),
        (logsource.product or "").lower(),
        (logsource.service or "").lower(),
    )


class FilterRule(NamedTuple):
    """A Sigma filter: rules (ids, names, titles; () means any) of a logsource also need `tree`."""

    logsource: Logsource
    rules: tuple[str, ...]
    tree: Tree


def parse_filter(document: Document, placeholders: Placeholders) -> FilterRule:
    """Parse a Sigma filter. Raises `BadRule`."""
    parsed = _guarded(lambda: SigmaFilter.from_dict(document.value, policy=SafePolicy), "filter")
    inner = parsed.filter
    rules = () if isinstance(inner.rules, str) else tuple(r.reference for r in inner.rules)
    if not all(isinstance(rule, str) for rule in rules):
        raise BadRule("a reference to a rule must be a text", "filter.rules")
    tree = _read(inner.detections, inner.condition, placeholders, "filter")
    _untie(inner)
    return FilterRule(_logsource_of(parsed.logsource), rules, tree)


def parse_correlation(plain: dict[str, Any]) -> SigmaCorrelationRule:
    """Have pySigma validate a correlation. Raises `BadRule`."""
    return _guarded(lambda: SigmaCorrelationRule.from_dict(plain, policy=SafePolicy), "correlation")


def describe(document: Document, path: str) -> dict[str, Any]:
    """Read what every kind of rule tells its reader: the fields of `Described`."""
    plain = document.value
    extra = plain.get("audit") or {}
    if not isinstance(extra, dict):
        raise BadRule("`audit` must be a mapping", "audit")
    identity, name = plain.get("id") or "", plain.get("name") or ""
    level = str(plain.get("level") or "medium").lower()
    if level not in SEVERITY_OF_LEVEL:
        raise BadRule(f"{level[:40]!r} is no level", "level")
    severity = SEVERITY_OF_LEVEL[level]
    if not (identity or name):
        raise BadRule("a rule needs an id or a name")
    for key, text in (("id", identity), ("name", name), ("title", plain.get("title") or "")):
        if not isinstance(text, str) or len(text) > ID_LENGTH_MAX * 2:
            raise BadRule(f"the {key} must be a text, and short", key)
    if len(name or identity) > ID_LENGTH_MAX:
        raise BadRule(f"the id or name is longer than {ID_LENGTH_MAX} characters", "name")
    return {
        "id": identity,
        "name": name,
        "version": _number(extra, "version", range(1, VERSION_MAX + 1), 1),
        "title": plain.get("title") or name or identity,
        "severity": severity,
        "risk": _number(extra, "risk", range(RISK_MAX + 1), RISK_OF_SEVERITY[severity]),
        "tags": _texts(plain, "tags"),
        "false_positives": _texts(plain, "falsepositives"),
        "runbook": _text(extra, "runbook"),
        "summary": _text(extra, "summary"),
        "why": _text(extra, "why") or " ".join(str(plain.get("description") or "").split()),
        "path": path,
        "line": document.line,
    }


def _number(extra: dict[str, Any], key: str, allowed: range, default: int) -> int:
    value = extra.get(key, default)
    if type(value) is not int or value not in allowed:
        ends = f"from {allowed[0]} to {allowed[-1]}"
        raise BadRule(f"`{key}` must be a whole number {ends}", f"audit.{key}")
    return value


def _text(extra: dict[str, Any], key: str) -> str:
    value = extra.get(key, "")
    if not isinstance(value, str):
        raise BadRule(f"`{key}` must be a text", f"audit.{key}")
    return value.strip()


def _texts(plain: dict[str, Any], key: str) -> tuple[str, ...]:
    value = plain.get(key) or []
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise BadRule(f"`{key}` must be a list of texts", key)
    return tuple(value)
