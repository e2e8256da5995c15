"""Why a rule matched an event, or did not: each selection and each of its lines, on its own.

Every line is compiled as a little rule and evaluated by the full scan, so that what is told here
is what the engine does.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from detections.rule import Derived, Fields
from detections.sigma.load import load_rules
from detections.sigma.router import Entry as Routed
from detections.sigma.router import Router, is_for_native, is_for_source
from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan, RuleFile, RuleSet, SigmaRule
from detections.sigma.tree import fold
from detections.sigma.view import NATIVE, SOURCES

SEEN_MAX: Final = 3  # values of a field that are shown
SEEN_LENGTH_MAX: Final = 80
WANTED_LENGTH_MAX: Final = 120
_PROBES: Final = "probes"
_NEGATED: Final = re.compile(r"\bnot +(?:(?:1|all|any) +of +)?([\w*-]+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a selection: what it wants, what the event has, whether it holds."""

    key: str
    wanted: str
    seen: tuple[str, ...]
    is_met: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One named selection."""

    name: str
    is_met: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """One rule and one event. `feeds` are the stateful rules that hear of a match, and as whom.

    `logsource` is empty for a rule of all logs.
    """

    rule_id: str
    title: str
    is_match: bool
    is_silent: bool
    condition: str
    parts: tuple[Part, ...]
    feeds: tuple[str, ...]
    logsource: tuple[Line, ...] = ()

    @property
    def parts_met(self) -> int:
        """How many selections hold, but for those that speak against a match."""
        against = _NEGATED.findall(self.condition)
        return sum(
            part.is_met and not any(fnmatchcase(part.name, pattern) for pattern in against)
            for part in self.parts
        )


def explain(
    ruleset: RuleSet, fields: Fields, derived: Derived, rule_ids: frozenset[str] = frozenset()
) -> list[Explained]:
    """Explain the rules that look at such an event at all, or those that are named."""
    chosen = [
        rule
        for rule in ruleset.rules
        if (rule.rule_id in rule_ids if rule_ids else concerns(rule, fields, derived))
    ]
    matched = frozenset(
        Router([Routed(rule.logsource, ruleset.trees[rule.index]) for rule in ruleset.rules])
        .full_scan(fields, derived)
    )  # fmt: skip
    met = _probe(chosen, fields, derived)
    return [
        Explained(
            rule.rule_id,
            rule.title,
            rule.index in matched,
            rule.is_silent,
            _condition_of(rule),
            tuple(_parts(ruleset, rule, met, fields, derived)),
            _feeds(ruleset, rule, fields, derived) if rule.index in matched else (),
            tuple(_logsource(rule, fields, derived)),
        )
        for rule in chosen
    ]


def concerns(rule: SigmaRule, fields: Fields, derived: Derived) -> bool:
    """Say whether a rule looks at events of this log at all."""
    if is_for_native(rule.logsource, derived.category):
        return True
    details = fields.get("details") or {}
    return any(
        is_for_source(rule.logsource, source)
        for source in SOURCES
        if fields["action"].startswith(f"{source.prefix}.") and source.key in details
    )


def misfit_of(rule: SigmaRule, fields: Fields, derived: Derived) -> str:
    """Say which line of its logsource keeps a rule from seeing an event; '' if none does."""
    missed = [line for line in _logsource(rule, fields, derived) if not line.is_met]
    return ", ".join(
        f"its {line.key} is {line.wanted}, the event's {' | '.join(line.seen) or '(absent)'}"
        for line in missed
    )


def _logsource(rule: SigmaRule, fields: Fields, derived: Derived) -> Iterator[Line]:
    category, product, service = rule.logsource
    details = fields.get("details") or {}
    prefix = str(fields["action"]).partition(".")[0]
    inside = [s for s in SOURCES if s.prefix == prefix and s.key in details]
    is_ours = product in ("", NATIVE)
    is_shown = concerns(rule, fields, derived)
    if product:
        seen = (NATIVE, *(source.product for source in inside))
        yield Line("product", product, seen, product in seen)
    if category:
        known = (derived.category,) if is_ours else ()
        yield Line("category", category, known, is_shown or (is_ours and category in known))
    if service and product == NATIVE:
        source = str(fields.get("source") or "")
        yield Line("service", service, (source,) if source else (), fold(source) == fold(service))
    elif service:
        services = tuple(source.service for source in inside if source.service)
        yield Line("service", service, services, is_shown)


def _condition_of(rule: SigmaRule) -> str:
    condition = _detection_of(rule).get("condition", "")
    return " or ".join(map(str, condition)) if isinstance(condition, list) else str(condition)


def _detection_of(rule: SigmaRule) -> Mapping[str, Any]:
    detection = rule.document.get("detection")
    return detection if isinstance(detection, Mapping) else {}


def _selections(rule: SigmaRule) -> Iterator[tuple[str, object]]:
    for name, definition in _detection_of(rule).items():
        if name != "condition":
            yield name, definition


def _lines(definition: object) -> list[tuple[str, object]]:
    """Return the lines of a selection, as key and value; a keyword has the key ''."""
    if isinstance(definition, Mapping):
        return list(definition.items())
    if isinstance(definition, list):
        return [line for part in definition for line in _lines(part)]
    return [("", definition)]


def _probe(rules: Sequence[SigmaRule], fields: Fields, derived: Derived) -> frozenset[str]:
    """Return the names of the selections and lines that hold, as `_name` spells them."""
    documents = []
    for rule in rules:
        for selection, definition in _selections(rule):
            documents.append(_document(rule, _name(rule, selection), definition))
            for number, (key, value) in enumerate(_lines(definition)):
                line = {key: value} if key else [value]
                documents.append(_document(rule, _name(rule, selection, number), line))
    text = "\n---\n".join(json.dumps(document) for document in documents)
    probes = load_rules([RuleFile(_PROBES, text)])
    router = Router(
        [
            Routed(probe.logsource, tree)
            for probe, tree in zip(probes.rules, probes.trees, strict=True)
        ]
    )
    return frozenset(probes.rules[number].title for number in router.full_scan(fields, derived))


def _name(rule: SigmaRule, selection: str, line: int = -1) -> str:
    return f"{rule.index}/{selection}/{line}"


def _document(rule: SigmaRule, name: str, definition: object) -> dict[str, Any]:
    return {
        "title": name,
        "id": str(uuid5(NAMESPACE_URL, name)),
        "logsource": rule.document["logsource"],
        "detection": {"part": definition, "condition": "part"},
    }


def _parts(
    ruleset: RuleSet, rule: SigmaRule, met: frozenset[str], fields: Fields, derived: Derived
) -> Iterator[Part]:
    for selection, definition in _selections(rule):
        lines = tuple(
            Line(
                key,
                spell(value),
                _seen(ruleset, rule, key, fields, derived),
                _name(rule, selection, number) in met,
            )
            for number, (key, value) in enumerate(_lines(definition))
        )
        yield Part(selection, _name(rule, selection) in met, lines)


def spell(value: object) -> str:
    """Spell what a line wants, on one line."""
    if isinstance(value, list):
        text = " | ".join(map(spell, value))
    else:
        text = "null" if value is None else str(value)
    return text if len(text) <= WANTED_LENGTH_MAX else f"{text[: WANTED_LENGTH_MAX - 1]}…"


def _seen(
    ruleset: RuleSet, rule: SigmaRule, key: str, fields: Fields, derived: Derived
) -> tuple[str, ...]:
    field = key.partition("|")[0]
    if not field:
        return ()
    texts = ruleset.getter(rule.index, field)(fields, derived)
    return tuple(text[:SEEN_LENGTH_MAX] for text in texts[:SEEN_MAX])


def _feeds(ruleset: RuleSet, rule: SigmaRule, fields: Fields, derived: Derived) -> tuple[str, ...]:
    def spell_name(name: str) -> str:
        texts = ruleset.getter(rule.index, name)(fields, derived)
        return f"{name}={texts[0][:SEEN_LENGTH_MAX] if texts else '(none: not counted)'}"

    return tuple(
        f"{plan.rule_id} ({', '.join(map(spell_name, names))})" if names else plan.rule_id
        for plan, names in _plans_of(ruleset, rule)
    )


def _plans_of(
    ruleset: RuleSet, rule: SigmaRule
) -> Iterable[tuple[CorrelationPlan | BehaviourPlan, tuple[str, ...]]]:
    for plan in ruleset.correlations:
        if rule.index in plan.rules:
            yield plan, tuple(plan.field_in(rule.index, name) for name in plan.group_by)
    for behaviour in ruleset.behaviours:
        if behaviour.selection == rule.index:
            yield behaviour, tuple(behaviour.parameters["group"])
