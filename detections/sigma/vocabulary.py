"""The words of our own log: what a rule may ask of our events; what is none of them never matches.

Rules for other logs are not looked at: what fields those have, their makers know.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from detections.facts import FACTS
from detections.sigma.faults import BadRule
from detections.sigma.ruleset import CorrelationPlan, Logsource, RuleSet
from detections.sigma.summary import names_in
from detections.sigma.view import DERIVED_FLAGS, DERIVED_TEXTS, NATIVE, SOURCES
from schemas.actions import Category
from schemas.event import FIELDS

KINDS: Final = tuple(get_args(Category))
PRODUCTS: Final = frozenset({NATIVE, *(source.product for source in SOURCES)})
NATIVE_FIELDS: Final = frozenset(
    {*FIELDS, *DERIVED_FLAGS, *DERIVED_TEXTS, "asn", "changed", "flags", *FACTS}
)
"""What has a value of its own; of `details`, any path below has."""

STATEFUL_WORDS: Final = frozenset(
    {"user", "action", "resource", "ip_address", "session_id", "group", "title", "count", "span",
     "value", "values", "known", "sum", "from", "to", "distance", "minutes", "bar", "days",
     "score", "reasons"}
)  # fmt: skip
"""What the summary of a correlation or behaviour may name besides its group."""

# The words of `audit rules new`, which nobody should be woken by.
PLACEHOLDERS: Final = (
    "Say what it finds, in one sentence.",
    "Say when it is harmless, and how to tell.",
    "Say why somebody should care.",
    "Say what to do if it is real.",
)
_PRODUCT_LIKENESS: Final = 0.85  # one letter too few or too many; no two real products are so near
_LIKENESS: Final = 0.6

_Yaml = Any  # any value of a rule file


def nearest(word: str, known: Iterable[str], likeness: float = _LIKENESS) -> str:
    """Return "; did you mean …?" for the known word that looks most like it, or ''."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=likeness)
    return f"; did you mean {near[0]!r}?" if near else ""


def misspelt_product(product: str) -> str:
    """Return which product of ours one that is none probably means, as `nearest` says it; or ''."""
    return "" if product in PRODUCTS else nearest(product, PRODUCTS, _PRODUCT_LIKENESS)


def check_logsource(logsource: Logsource) -> None:
    """Refuse a kind that our log has not, and a product that is one of ours misspelt."""
    category, product, _ = logsource
    if near := misspelt_product(product):
        raise BadRule(f"no log of the product {product[:80]!r} comes here{near}", "logsource")
    if product == NATIVE and category not in ("", *KINDS):
        near = nearest(category, KINDS)
        raise BadRule(
            f"our log has no category {category[:80]!r}{near} It has {', '.join(KINDS)}"
            if near
            else f"our log has no category {category[:80]!r}: it has {', '.join(KINDS)}",
            "logsource",
        )


def check_fields(logsource: Logsource, detection: _Yaml, under: str = "detection") -> None:
    """Refuse a line about a field that our events never have; names of values do not matter."""
    if logsource.product != NATIVE or not isinstance(detection, dict):
        return
    for name, definition in detection.items():
        if name in ("condition", "rules", "timeframe"):
            continue
        for key, value in lines_of(definition):
            field, *modifiers = key.split("|")
            asked = [field] if field else []
            if "fieldref" in modifiers:
                asked += value if isinstance(value, list) else [value]
            for one in asked:
                check_field(one, f"{under}.{name}")


def lines_of(definition: _Yaml) -> Iterator[tuple[str, _Yaml]]:
    """Yield the lines of a selection, however its maps and lists are nested."""
    if isinstance(definition, dict):
        yield from definition.items()
    elif isinstance(definition, list):
        for part in definition:
            yield from lines_of(part)


def check_field(field: _Yaml, at: str, more: frozenset[str] = frozenset()) -> None:
    """Refuse the name of a field that our events never have."""
    if not isinstance(field, str) or field in NATIVE_FIELDS or field in more:
        return
    if field.startswith("details."):
        return
    near = nearest(field.partition(".")[0] if "." in field else field, NATIVE_FIELDS | more)
    if "." in field and near:  # the rest is kept: `detail.method` means `details.method`
        near = f"{near[:-2]}.{field.partition('.')[2][:80]}'?" if "'details'" in near else near
    raise BadRule(f"events have no field {field[:80]!r}{near}", at)


def check_rule(
    logsource: Logsource, plain: Mapping[str, _Yaml], parameters: Mapping[str, Any] | None = None
) -> None:
    """Refuse a rule that could never match, or never say what it means; `parameters`: behaviour."""
    check_logsource(logsource)
    check_fields(logsource, plain.get("detection"))
    check_summary(logsource, plain)
    if parameters and logsource.product == NATIVE:
        for field in (*parameters.get("group", ()), parameters.get("value")):
            check_field(field, "behaviour")


def check_summary(logsource: Logsource, plain: Mapping[str, _Yaml]) -> None:
    """Refuse a blank of the summary that no event of ours could fill in."""
    extra = plain.get("audit")
    summary = extra.get("summary") if isinstance(extra, dict) else None
    if logsource.product != NATIVE or not isinstance(summary, str):
        return
    behaviour = plain.get("behaviour")
    more: frozenset[str] = frozenset()
    if isinstance(behaviour, dict):
        group = behaviour.get("group", ())
        more = STATEFUL_WORDS | set([group] if isinstance(group, str) else group)
    for name in names_in(summary):
        try:
            check_field(name, "audit.summary", more)
        except BadRule as fault:
            raise BadRule(f"the summary can't be filled in: {fault.reason}", fault.at) from fault


def check_plan(plan: CorrelationPlan, logsource_of: Callable[[int], Logsource]) -> None:
    """Refuse a correlation that groups by, or counts, what events of ours never have."""
    for rule in plan.rules:
        if isinstance(rule, int) and logsource_of(rule).product == NATIVE:
            for name in plan.group_by:
                check_field(plan.field_in(rule, name), "correlation.group-by")
            for name in plan.fields:
                check_field(plan.field_in(rule, name), "correlation.condition")


def own_rules(ruleset: RuleSet) -> frozenset[str]:
    """Return the ids of rules that are ours, not taken over from others, who ask less of rules.

    These are about our log, or have what only we write; a correlation, if one it is made of is.
    """
    rules = [r for r in ruleset.rules if r.logsource.product == NATIVE or "audit" in r.document]
    own: set[int | str] = {rule.index for rule in rules} | {rule.rule_id for rule in rules}
    own |= {plan.rule_id for plan in ruleset.behaviours}
    for _ in ruleset.correlations:  # each round reaches correlations of correlations further
        own |= {plan.rule_id for plan in ruleset.correlations if not own.isdisjoint(plan.rules)}
    return frozenset(name for name in own if isinstance(name, str))


def check_finished(plain: Mapping[str, _Yaml]) -> None:
    """Refuse a rule in which a text of `audit rules new` still waits for its author."""
    for at, mark in placeholders_in(plain):
        raise BadRule(f"write it first: {mark!r} is what `audit rules new` left to you", at)


def placeholders_in(plain: Mapping[str, _Yaml]) -> Iterator[tuple[str, str]]:
    """Yield what `audit rules new` wrote and nobody has replaced: where it stands, and it."""
    extra = plain.get("audit")
    told = {"description": plain.get("description"), "falsepositives": plain.get("falsepositives")}
    told |= (
        {f"audit.{key}": value for key, value in extra.items()} if isinstance(extra, dict) else {}
    )
    for at, value in told.items():
        for text in value if isinstance(value, list) else [value]:
            yield from ((at, mark) for mark in PLACEHOLDERS if mark in str(text))
