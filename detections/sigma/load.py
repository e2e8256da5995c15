"""Rule files into a rule set: what can't be taken is refused by name, and the rest goes on."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from detections.sigma.bulk import collector_paused
from detections.sigma.correlations import Draft, find_cycles, read_draft, to_plan
from detections.sigma.documents import Document, read_documents
from detections.sigma.exempting import check_exception
from detections.sigma.faults import BadRule
from detections.sigma.leaves import Placeholders
from detections.sigma.parsing import FilterRule, Selected, describe, parse_filter, parse_rule
from detections.sigma.references import REFUSED, Names
from detections.sigma.ruleset import (
    BehaviourPlan,
    CorrelationPlan,
    ExceptionRule,
    Logsource,
    Refusal,
    RuleFile,
    RuleSet,
    SigmaRule,
)
from detections.sigma.tree import Tree, all_of
from detections.sigma.vocabulary import check_fields, check_finished, check_plan, check_rule
from detections.stateful.behaviours import parse_behaviour
from detections.stateful.plans import refuse

SEMANTICS: Final = "2"  # raise it when the same rules would find something else
RULES_MAX: Final = 100_000
REFUSALS_MAX: Final = 1_000

_KINDS: Final = ("correlation", "filter", "behaviour", "exception")


class _Parsed(NamedTuple):
    """A rule over single events before all references are known."""

    described: dict[str, Any]
    selected: Selected
    document: Document


@dataclass
class _Loading:
    """What has been read so far."""

    placeholders: Placeholders
    with_drafts: bool = False
    rules: list[_Parsed] = field(default_factory=list)
    behaviours: dict[int, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    drafts: dict[str, Draft] = field(default_factory=dict)
    filters: list[tuple[FilterRule, str, Document]] = field(default_factory=list)
    exceptions: list[tuple[dict[str, Any], tuple[str, ...], Tree, Document]] = field(
        default_factory=list
    )
    refusals: list[Refusal] = field(default_factory=list)
    unserved: set[int] = field(default_factory=set)  # rules whose behaviour was refused
    taken: dict[str, str] = field(default_factory=dict)  # id or name -> where it stands

    def refuse(self, path: str, document: Document | None, fault: BadRule) -> None:
        line = fault.line or (document.line_of(fault.at) if document else 1)
        refusal = Refusal(path, line, _name_of(document), fault.reason)
        if len(self.refusals) == REFUSALS_MAX:
            refusal = Refusal(path, line, "", "more is wrong than is listed")
        if len(self.refusals) <= REFUSALS_MAX and refusal not in self.refusals:
            self.refusals.append(refusal)

    def read(self, path: str, document: Document) -> None:
        """Take one document in. Raises `BadRule`."""
        plain = document.value
        if "action" in plain:
            raise BadRule("`action` documents are not part of Sigma 2", "action")
        if not self.with_drafts:
            check_finished(plain)
        kinds = [kind for kind in _KINDS if kind in plain]
        if len(kinds) > 1:
            raise BadRule(f"is both {kinds[0]} and {kinds[1]}", kinds[1])
        match kinds:
            case ["correlation"]:
                draft = read_draft(document, path)
                self._take(draft.described, path, document)
                self.drafts[draft.described["name"] or draft.described["id"]] = draft
            case ["filter"]:
                found = parse_filter(document, self.placeholders)
                check_fields(found.logsource, plain["filter"], "filter")
                self.filters.append((found, path, document))
            case ["exception"]:
                self._read_exception(path, document)
            case _:
                self._read_rule(path, document)

    def _read_rule(self, path: str, document: Document) -> None:
        if len(self.rules) >= RULES_MAX:
            raise BadRule(f"more than {RULES_MAX} rules")
        described = describe(document, path)
        behaviour = None
        if "behaviour" in document.value:
            behaviour = self._read_behaviour(document.value["behaviour"])
        selected = parse_rule(document, self.placeholders)
        check_rule(selected.logsource, document.value, behaviour and behaviour[1])
        self._take(described, path, document)
        if behaviour:
            self.behaviours[len(self.rules)] = behaviour
        self.rules.append(_Parsed(described, selected, document))

    def _read_behaviour(self, mapping: object) -> tuple[str, Mapping[str, Any]]:
        if not isinstance(mapping, dict) or not isinstance(mapping.get("type"), str):
            raise BadRule("`behaviour` must be a mapping with a type", "behaviour")
        kind = mapping["type"]
        rest = {key: value for key, value in mapping.items() if key != "type"}
        try:
            return kind, parse_behaviour(kind, rest)
        except ValueError as error:
            raise BadRule(str(error)[:400], "behaviour") from error

    def _read_exception(self, path: str, document: Document) -> None:
        rules = check_exception(document.value["exception"])
        described = describe(document, path)
        value = {"logsource": {"product": "dutycall"}, **document.value}
        selected = parse_rule(document._replace(value=value), self.placeholders)
        check_fields(selected.logsource, value["detection"])
        self._take(described, path, document)
        self.exceptions.append((described, rules, selected.tree, document))

    def _take(self, described: Mapping[str, Any], path: str, document: Document) -> None:
        """Claim an id and a name. Raises `BadRule` if another rule has them."""
        names = {text.lower() for key in ("id", "name") if (text := described[key])}
        for name in sorted(names):
            if name in self.taken:
                raise BadRule(f"the id or name is that of {self.taken[name]}", "id")
        self.taken.update(dict.fromkeys(names, f"{path}:{document.line}"))


@collector_paused()
def load_rules(
    files: Iterable[RuleFile],
    *,
    placeholders: Placeholders | None = None,
    exceptions: Iterable[RuleFile] = (),
    with_drafts: bool = False,
) -> RuleSet:
    """Load rules, correlations, behaviours, filters and exceptions. Total: faults are refusals.

    Drafts, in which texts of `audit rules new` still stand, are only taken where rules are tried.
    """
    loading = _Loading(placeholders or {}, with_drafts)
    digest = hashlib.sha256()
    everything = sorted([*files, *exceptions], key=lambda file: file.path)
    for file in everything:
        content = file.text.encode() if isinstance(file.text, str) else file.text
        digest.update(hashlib.sha256(content).digest())
        _read_file(loading, file)
    given = {name: list(values) for name, values in loading.placeholders.items()}
    digest.update(SEMANTICS.encode() + orjson.dumps(given, option=orjson.OPT_SORT_KEYS))
    version = digest.hexdigest()[:8]
    ruleset = _finish(loading, version)
    while _drop_unserved(loading, ruleset):  # each round drops one at least
        ruleset = _finish(loading, version)
    return ruleset


def _drop_unserved(loading: _Loading, ruleset: RuleSet) -> bool:
    """Refuse the plans that no state machine can serve; say whether there were any."""
    dropped = False
    plans: list[CorrelationPlan | BehaviourPlan] = [*ruleset.correlations, *ruleset.behaviours]
    for plan in plans:
        reason = refuse(plan, ruleset)
        if not reason:
            continue
        dropped = True
        if isinstance(plan, BehaviourPlan):
            document = loading.rules[plan.selection].document
            del loading.behaviours[plan.selection]
            loading.unserved.add(plan.selection)
            loading.refuse(plan.path, document, BadRule(reason, "behaviour"))
        else:
            document = loading.drafts.pop(plan.rule_id).document
            loading.refuse(plan.path, document, BadRule(reason, "correlation"))
    return dropped


def _read_file(loading: _Loading, file: RuleFile) -> None:
    for document in read_documents(file.text):
        if isinstance(document, BadRule):
            loading.refuse(file.path, None, document)
            continue
        try:
            loading.read(file.path, document)
        except BadRule as fault:
            loading.refuse(file.path, document, fault)


def _finish(loading: _Loading, version: str) -> RuleSet:
    refused = {refusal.rule.lower() for refusal in loading.refusals}
    told: list[tuple[int | str, Mapping[str, Any]]] = []
    told += enumerate(parsed.described for parsed in loading.rules)
    told += ((rule_id, draft.described) for rule_id, draft in loading.drafts.items())
    names = Names(told, refused)
    trees = _apply_filters(loading, names)
    plans = _plan(loading, names)
    silent = (
        set(loading.behaviours)
        | loading.unserved
        | {
            rule
            for plan in plans
            if not loading.drafts[plan.rule_id].parsed.generate
            for rule in plan.rules
            if isinstance(rule, int)
        }
    )
    exceptions, exception_trees = _finish_exceptions(loading, names)
    return RuleSet(
        rules=tuple(
            SigmaRule(
                **parsed.described,
                index=index,
                logsource=parsed.selected.logsource,
                is_silent=index in silent,
                document=parsed.document.value,
            )
            for index, parsed in enumerate(loading.rules)
        ),
        correlations=tuple(plans),
        behaviours=tuple(
            BehaviourPlan(
                **loading.rules[index].described, type=kind, selection=index, parameters=parameters
            )
            for index, (kind, parameters) in loading.behaviours.items()
        ),
        exceptions=tuple(exceptions),
        refusals=tuple(sorted(loading.refusals, key=_order)),
        version=version,
        trees=tuple(trees),
        exception_trees=tuple(exception_trees),
    )


def _apply_filters(loading: _Loading, names: Names) -> list[Tree]:
    trees = [parsed.selected.tree for parsed in loading.rules]
    for (logsource, rules, tree), path, document in loading.filters:
        chosen: set[int | str] = set(range(len(trees)))
        if rules:
            chosen = set()
            for reference in rules:
                try:
                    chosen.add(names.find(reference))
                except BadRule as fault:
                    loading.refuse(path, document, BadRule(fault.reason, "filter.rules"))
        for index, parsed in enumerate(loading.rules):
            if index in chosen and _covers(logsource, parsed.selected.logsource):
                trees[index] = all_of([trees[index], tree])
    return trees


def _covers(wide: Logsource, narrow: Logsource) -> bool:
    return all(part in ("", other) for part, other in zip(wide, narrow, strict=True))


def _plan(loading: _Loading, names: Names) -> list[CorrelationPlan]:
    """Resolve the correlations; one that rests on a refused one is refused as well."""
    pending = dict(loading.drafts)

    def drop(rule_id: str, fault: BadRule) -> None:
        draft = pending.pop(rule_id)
        loading.refuse(draft.described["path"], draft.document, fault)

    def find(reference: str) -> int | str:
        target = names.find(reference)
        if isinstance(target, str) and target not in pending:
            raise BadRule(f"refers to {target[:80]!r}, {REFUSED}", "correlation.rules")
        return target

    links = {rule_id: _links(draft, names) for rule_id, draft in pending.items()}
    for rule_id in sorted(find_cycles(links)):
        drop(rule_id, BadRule("refers to itself in a circle", "correlation.rules"))
    plans: dict[str, CorrelationPlan] = {}
    is_settled = False
    while not is_settled:  # each round drops one at least, or is the last
        is_settled = True
        for rule_id, draft in list(pending.items()):
            try:
                plans[rule_id] = to_plan(draft, find, is_silent=False)
                check_plan(plans[rule_id], lambda n: loading.rules[n].selected.logsource)
            except BadRule as fault:
                plans.pop(rule_id, None)
                drop(rule_id, BadRule(fault.reason, fault.at or "correlation.rules"))
                is_settled = False
    fed = {
        rule
        for plan in plans.values()
        if not loading.drafts[plan.rule_id].parsed.generate
        for rule in plan.rules
    }
    return [
        to_plan(draft, find, is_silent=True) if rule_id in fed else plans[rule_id]
        for rule_id, draft in pending.items()
    ]


def _links(draft: Draft, names: Names) -> list[str]:
    found = []
    for reference in draft.references:
        try:
            target = names.find(reference)
        except BadRule:
            continue  # said when the plan is made
        if isinstance(target, str):
            found.append(target)
    return found


def _finish_exceptions(loading: _Loading, names: Names) -> tuple[list[ExceptionRule], list[Tree]]:
    exceptions, trees = [], []
    for described, references, tree, document in loading.exceptions:
        try:
            targets = [names.find_rule(reference) for reference in references]
        except BadRule as fault:
            fault.at = "exception.rules"
            loading.refuse(described["path"], document, fault)
            continue
        told = document.value["exception"]
        exceptions.append(
            ExceptionRule(
                id=described["name"] or described["id"],
                title=described["title"],
                owner=told["owner"].strip(),
                reason=told["reason"].strip(),
                expires=told["expires"],
                rules=frozenset(targets),
                path=described["path"],
                line=described["line"],
                tenant=told.get("tenant", ""),
            )
        )
        trees.append(tree)
    return exceptions, trees


def _order(refusal: Refusal) -> tuple[bool, str, int]:
    """Put what rests on another refused rule behind: mending that one mends it."""
    return REFUSED in refusal.reason, refusal.path, refusal.line


def _name_of(document: Document | None) -> str:
    for key in ("name", "id", "title"):
        text = document.value.get(key) if document else None
        if isinstance(text, str) and text:
            return text[:128]
    return ""
