"""Correlation documents into plans: references resolved, bounds checked, cycles refused."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, get_args

from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionNOT,
    CorrelationConditionOR,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaExtendedCorrelationCondition,
    SigmaRuleReference,
)

from detections.sigma.documents import Document
from detections.sigma.faults import BadRule
from detections.sigma.parsing import describe, parse_correlation
from detections.sigma.ruleset import (
    BoolOp,
    ConditionTree,
    CorrelationPlan,
    Operator,
    SlotRef,
)

TIMESPAN_MS_MAX: Final = 400 * 86_400_000  # longer than events are kept hot
RULES_MAX: Final = 64  # of one correlation
GROUP_BY_MAX: Final = 8
CONDITION_LENGTH_MAX: Final = 2_048
PERCENTILE_MAX: Final = 100

_OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)
_LOWER: Final = ("gt", "gte")
_UPPER: Final = ("lt", "lte")
_TEMPORAL: Final = ("temporal", "temporal_ordered")
_AT: Final = "correlation"

# Resolves an id, name or title to an index of a rule or the rule_id of a correlation.
Resolve = Callable[[str], int | str]


class Draft(NamedTuple):
    """A correlation as pySigma read it, its references not yet resolved."""

    described: Mapping[str, Any]
    parsed: SigmaCorrelationRule
    upper: tuple[Operator, float] | None
    document: Document

    @property
    def references(self) -> list[str]:
        """What it refers to, in the order of the slots."""
        if self.parsed.rules:
            return [reference.reference for reference in self.parsed.rules]
        condition = self.parsed.condition
        if isinstance(condition, SigmaExtendedCorrelationCondition):
            return condition.get_referenced_rules()
        return []


def read_draft(document: Document, path: str) -> Draft:
    """Have a correlation validated. Raises `BadRule`."""
    plain = dict(document.value)
    inner = plain.get("correlation")
    upper = None
    if isinstance(inner, dict):
        plain["correlation"], upper = _split_range(inner)
        _check_size(inner)
    described = describe(document, path)
    parsed = parse_correlation(plain)
    draft = Draft(described, parsed, upper, document)
    _check(draft)
    return draft


def _split_range(inner: dict[str, Any]) -> tuple[dict[str, Any], tuple[Operator, float] | None]:
    """Take the upper bound of `gt: 100, lte: 200` out: pySigma knows one operator only."""
    condition = inner.get("condition")
    if not isinstance(condition, dict):
        return inner, None
    used = [operator for operator in _OPERATORS if operator in condition]
    if len(used) <= 1:
        return inner, None
    lower = [operator for operator in used if operator in _LOWER]
    upper = [operator for operator in used if operator in _UPPER]
    if (len(lower), len(upper), len(used)) != (1, 1, len(lower + upper)):
        raise BadRule("a range is one of gt, gte with one of lt, lte", f"{_AT}.condition")
    bound = condition[upper[0]]
    if type(bound) not in (int, float) or type(condition[lower[0]]) not in (int, float):
        raise BadRule("the bounds of a range must be numbers", f"{_AT}.condition")
    if condition[lower[0]] > bound:
        raise BadRule("the range is empty", f"{_AT}.condition")
    rest = {key: value for key, value in condition.items() if key != upper[0]}
    return {**inner, "condition": rest}, (upper[0], float(bound))


def _check_size(inner: dict[str, Any]) -> None:
    condition = inner.get("condition")
    if isinstance(condition, str):
        if len(condition) > CONDITION_LENGTH_MAX or condition.count("(") > RULES_MAX:
            raise BadRule("the condition is too long", f"{_AT}.condition")
        if "((((((((" in condition.replace(" ", ""):
            raise BadRule("the condition is nested too deep", f"{_AT}.condition")
    rules = inner.get("rules")
    if isinstance(rules, list):
        if len(rules) > RULES_MAX:
            raise BadRule(f"more than {RULES_MAX} rules", f"{_AT}.rules")
        if not all(isinstance(rule, str) for rule in rules):
            raise BadRule("a reference to a rule must be a text", f"{_AT}.rules")


def _check(draft: Draft) -> None:
    """Refuse what no state could serve, or what would never fire."""
    parsed, references = draft.parsed, draft.references
    group_by = parsed.group_by or []
    if not references or len(set(references)) < len(references):
        raise BadRule("refers to no rule, or to one twice", f"{_AT}.rules")
    if parsed.timespan.seconds * 1_000 > TIMESPAN_MS_MAX:
        raise BadRule("the timespan is longer than 400 days", f"{_AT}.timespan")
    if len(group_by) > GROUP_BY_MAX or "" in group_by:
        raise BadRule(f"group-by must name at most {GROUP_BY_MAX} fields", f"{_AT}.group-by")
    if isinstance(parsed.condition, SigmaCorrelationCondition):
        _check_condition(parsed.type.name.lower(), parsed.condition)


def _check_condition(kind: str, condition: SigmaCorrelationCondition) -> None:
    fields, percentile = _fields_of(condition), condition.percentile
    fault = ""
    if kind in _TEMPORAL and (percentile is not None or fields):
        fault = f"{kind} takes no field"
    elif len(fields) > 1 and kind != "value_count":
        fault = f"{kind} of several fields has no meaning"
    elif (kind == "value_percentile") != (percentile is not None):
        fault = "value_percentile, and only that, needs `percentile`"
    elif percentile is not None and not 0 <= percentile <= PERCENTILE_MAX:
        fault = "`percentile` must be from 0 to 100"
    if fault:
        raise BadRule(fault, f"{_AT}.condition")


def _fields_of(condition: SigmaCorrelationCondition) -> tuple[str, ...]:
    given: Any = condition.fieldref
    fields = tuple(given) if isinstance(given, list) else (given,) if given is not None else ()
    if not all(isinstance(field, str) and field for field in fields):
        raise BadRule("`field` must name fields", f"{_AT}.condition")
    return fields


def to_plan(draft: Draft, resolve: Resolve, *, is_silent: bool) -> CorrelationPlan:
    """Make the plan; `resolve` raises `BadRule` for a reference that is nothing."""
    parsed, condition = draft.parsed, draft.parsed.condition
    references = draft.references
    rules = tuple(resolve(reference) for reference in references)
    if len(set(rules)) < len(rules):
        raise BadRule("refers to a rule twice", f"{_AT}.rules")
    operator: Operator = "gte"
    threshold: float = len(rules)
    fields: tuple[str, ...] = ()
    tree: ConditionTree | None = None
    percentile = None
    if isinstance(condition, SigmaExtendedCorrelationCondition):
        tree = _to_tree(condition.parsed, references)
    elif "condition" in draft.document.value["correlation"]:
        operator, threshold = _OPERATOR_OF[condition.op.name], float(condition.count)
        fields, percentile = _fields_of(condition), condition.percentile
    aliases = {
        alias.alias: {
            resolve(reference.reference): str(field) for reference, field in alias.mapping.items()
        }
        for alias in parsed.aliases or ()
    }
    kind: Any = parsed.type.name.lower()
    return CorrelationPlan(
        **draft.described,
        type=kind,
        rules=rules,
        group_by=tuple(parsed.group_by or ()),
        aliases=aliases,
        timespan_ms=parsed.timespan.seconds * 1_000,
        operator=operator,
        threshold=threshold,
        upper=draft.upper,
        fields=fields,
        percentile=percentile,
        condition=tree,
        is_silent=is_silent,
        is_by_recorded=_choose(draft, "clock", "occurred", "recorded"),
        needs_finding=_choose(draft, "events", "all", "found"),
        spans_tenants=_choose(draft, "tenants", "each", "all"),
    )


def _choose(draft: Draft, key: str, usual: str, other: str) -> bool:
    """Say whether the rule's own `audit:` has the other of two words under a key."""
    extra = draft.document.value.get("audit") or {}
    word = extra.get(key, usual)
    if word not in (usual, other):
        raise BadRule(f"`{key}` must be {usual} or {other}", f"audit.{key}")
    return bool(word == other)


_OPERATOR_OF: Final[Mapping[str, Operator]] = {name.upper(): name for name in _OPERATORS}


def _to_tree(node: object, references: Sequence[str]) -> ConditionTree:
    match node:
        case SigmaRuleReference():
            return SlotRef(references.index(node.reference))
        case CorrelationConditionNOT():
            return BoolOp("not", (_to_tree(node.args[0], references),))
        case CorrelationConditionAND():
            return BoolOp("and", tuple(_to_tree(part, references) for part in node.args))
        case CorrelationConditionOR():
            return BoolOp("or", tuple(_to_tree(part, references) for part in node.args))
        case _:
            raise BadRule("a condition that is not understood", f"{_AT}.condition")


def find_cycles(links: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the correlations that reach themselves, or lead to such."""
    bad: set[str] = set()
    safe: set[str] = set()
    for start in links:
        stack: list[tuple[str, int]] = [(start, 0)]
        trail: list[str] = []
        while stack:
            name, child = stack.pop()
            if child == 0:
                if name in trail or name in bad:
                    bad.update(trail)
                    break
                if name in safe or name not in links:
                    continue
                trail.append(name)
            if child < len(links[name]):
                stack.append((name, child + 1))
                stack.append((links[name][child], 0))
            else:
                safe.add(trail.pop())
    return bad
