"""What rule files become: rules, plans of stateful ones and refusals, as frozen data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

from detections.rule import Derived, Fields
from detections.sigma.mapping import names_of
from detections.sigma.tree import Tree
from detections.sigma.view import SOURCES, Read, reader, texts_of
from schemas.alert import Severity

CorrelationType = Literal[
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
]
Operator = Literal["gte", "gt", "lte", "lt", "eq", "neq"]

# Reads the values of one field out of an event, as texts; () where there are none.
Getter = Callable[[Fields, Derived], Sequence[str]]


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One file of rules as it was read; `path` is only for messages."""

    path: str
    text: str | bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule was not loaded: where it stands (line from 1) and what is wrong with it."""

    path: str
    line: int
    rule: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.reason}"


class Logsource(NamedTuple):
    """Which events a rule is for, in lower case; '' means any."""

    category: str = ""
    product: str = ""
    service: str = ""


@dataclass(frozen=True, kw_only=True)
class Described:
    """What rules, correlations and behaviours all tell their reader.

    `rule_id` is what alerts carry: the Sigma `name`, else the `id`.
    """

    id: str
    name: str
    version: int
    title: str
    severity: Severity
    risk: int
    tags: tuple[str, ...]
    false_positives: tuple[str, ...]
    runbook: str
    summary: str
    why: str
    path: str
    line: int

    @property
    def rule_id(self) -> str:
        """The id that findings and alerts carry."""
        return self.name or self.id


@dataclass(frozen=True, kw_only=True)
class SigmaRule(Described):
    """One rule over single events.

    `index` is its place in `RuleSet.rules`, and what hits name. A silent rule makes no finding:
    it only feeds correlations or a behaviour. `document` is the YAML mapping it came from.
    """

    index: int
    logsource: Logsource
    is_silent: bool
    document: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SlotRef:
    """A leaf of an extended condition: the plan's slot (its place in `rules`) that it names."""

    slot: int


@dataclass(frozen=True, slots=True)
class BoolOp:
    """A node of an extended condition; `not` has one part."""

    op: Literal["and", "or", "not"]
    parts: "tuple[ConditionTree, ...]"


ConditionTree = SlotRef | BoolOp


@dataclass(frozen=True, kw_only=True)
class CorrelationPlan(Described):
    """One correlation, its references resolved.

    `rules` are indices of base rules, or `rule_id`s of correlations (chained); their order is
    that of the slots. `aliases`: alias -> {index or rule_id: field}. `upper` is the second bound
    of a range (`gt: 100` with `lte: 200`), else None: both must hold. `threshold` of temporal
    types without a condition is the number of rules. `fields` are what values are taken of:
    several make one tuple (value_count only). `is_silent`: only feeds other correlations.
    `is_by_recorded`: time is the broker's, so none is late. `needs_finding`: only events count of
    which some rule found something. `spans_tenants`: all tenants make one group.
    """

    type: CorrelationType
    rules: tuple[int | str, ...]
    group_by: tuple[str, ...]
    aliases: Mapping[str, Mapping[int | str, str]]
    timespan_ms: int
    operator: Operator
    threshold: float
    upper: tuple[Operator, float] | None
    fields: tuple[str, ...]
    percentile: int | None
    condition: ConditionTree | None
    is_silent: bool
    is_by_recorded: bool = False
    needs_finding: bool = False
    spans_tenants: bool = False

    @property
    def is_special(self) -> bool:
        """Say whether it counts other events, at another time or place, than most."""
        return self.is_by_recorded or self.needs_finding or self.spans_tenants

    def field_in(self, rule: int | str, name: str) -> str:
        """Return what `name` of `group_by` or `fields` is called in the events of `rule`."""
        return self.aliases.get(name, {}).get(rule, name)


@dataclass(frozen=True, kw_only=True)
class BehaviourPlan(Described):
    """One behaviour over the events that rule `selection` matches; `parameters` are validated."""

    type: str
    selection: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExceptionRule:
    """Who said that what some rules find is no finding, why, and until when.

    It hides what was recorded before `expires` (a date, UTC) and its tree holds for, of the rules
    with these indices, in that tenant if it names one; the tree is in `RuleSet.exception_trees`,
    at the same place.
    """

    id: str
    title: str
    owner: str
    reason: str
    expires: str
    rules: frozenset[int]
    path: str
    line: int
    tenant: str = ""  # of all


@dataclass(frozen=True)
class RuleSet:
    """Everything that was loaded. `refusals` say what was not; the rest works without it."""

    rules: tuple[SigmaRule, ...]
    correlations: tuple[CorrelationPlan, ...]
    behaviours: tuple[BehaviourPlan, ...]
    exceptions: tuple[ExceptionRule, ...]
    refusals: tuple[Refusal, ...]
    version: str
    trees: tuple[Tree, ...] = field(repr=False, compare=False)
    exception_trees: tuple[Tree, ...] = field(repr=False, compare=False)

    def getter(self, rule: int, name: str) -> Getter:
        """Return what reads field `name` in the events of a rule; compile once, call often."""
        key, reads = self._reads(rule, name)

        def get(fields: Fields, derived: Derived) -> Sequence[str]:
            doc = (fields.get("details") or {}).get(key) if key else fields
            if type(doc) is dict or isinstance(doc, Mapping):
                for read in reads:
                    if texts := texts_of(read(doc, derived)):
                        return texts
            return ()

        return get

    def plain_read(self, rule: int, name: str) -> Read | None:
        """Return what reads the one value behind `getter` as it stands; None: there are more."""
        key, reads = self._reads(rule, name)
        return None if key or len(reads) > 1 else reads[0]

    def _reads(self, rule: int, name: str) -> tuple[str, list[Read]]:
        """Return where in the details a rule's records lie, and what reads a field of them."""
        product = self.rules[rule].logsource.product
        key = next((source.key for source in SOURCES if source.product == product), "")
        return key, [reader(known, is_native=not key) for known in names_of(product, name)]

    @property
    def fed(self) -> frozenset[int]:
        """The rules that correlations or behaviours refer to: matches of these are hits."""
        correlated = {
            rule for plan in self.correlations for rule in plan.rules if isinstance(rule, int)
        }
        return frozenset(correlated | {plan.selection for plan in self.behaviours})


SEVERITY_OF_LEVEL: Final[Mapping[str, Severity]] = {
    "informational": "info",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "critical": "critical",
}
RISK_OF_SEVERITY: Final[Mapping[Severity, int]] = {
    "info": 1,
    "low": 5,
    "medium": 15,
    "high": 30,
    "critical": 50,
}
