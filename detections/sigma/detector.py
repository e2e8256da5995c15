"""The detector that stage 1 calls: a rule set behind its index, findings and hits out."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from detections.rule import NOTHING, Derived, Fields, Finding, Hidden, Verdict
from detections.sigma.bulk import collector_paused
from detections.sigma.compiled import Compiler
from detections.sigma.look import Look
from detections.sigma.predicates import Test
from detections.sigma.router import Entry, Router
from detections.sigma.ruleset import Getter, RuleSet, SigmaRule
from detections.sigma.summary import PLAIN, Say, to_say
from detections.sigma.view import SOURCES, reader, texts_of
from detections.stateful.alerts import DEFAULT_TENANT

TOLD_MAX: Final = 4_096  # sets of rules that only feed others, remembered as what is said of them


class Counts(NamedTuple):
    """What the engine has done since it was made, for metrics."""

    events: int  # per view: one that holds a foreign record counts twice
    candidates: int  # rules tried; per event, the figure that tells how good the index is
    always: int  # rules that are tried for every event of their log
    predicates: int
    rules: int


class _Exemption(NamedTuple):
    """One exception, ready to be asked about one rule."""

    exception_id: str
    expires: str
    expires_ms: int
    tenant: str  # "": of all
    test: Test

    def is_for(self, fields: Fields, derived: Derived) -> bool:
        """Say whether it holds for this tenant and time: the broker's, as anybody can backdate."""
        if self.tenant and self.tenant != (fields.get("tenant") or DEFAULT_TENANT):
            return False
        if derived.recorded_ms:
            return derived.recorded_ms < self.expires_ms
        return derived.occurred < self.expires  # a test of a rule, or an explanation


class SigmaDetector:
    """As `Detector` promises. Not for several threads at once: it counts."""

    @collector_paused()
    def __init__(self, ruleset: RuleSet) -> None:
        self.ruleset: Final = ruleset
        self.version: Final = ruleset.version
        self.hidden: Counter[str] = Counter()  # findings and hits, by exception
        pairs = zip(ruleset.rules, ruleset.trees, strict=True)
        self.router: Final = Router([Entry(rule.logsource, tree) for rule, tree in pairs])
        self._find = self.router.find
        self._says: dict[int, Say] = {}  # made when a rule first fires: most never do
        self._fed = ruleset.fed
        self._exemptions = _exemptions_of(ruleset)
        self._only_fed = self._fed.difference(
            self._exemptions, (rule.index for rule in ruleset.rules if not rule.is_silent)
        )
        self._told: dict[tuple[int, ...], Verdict] = {}
        self._keys = [_key_of(rule) for rule in ruleset.rules]

    def detect(self, fields: Fields, derived: Derived) -> Sequence[Finding]:
        """Return the findings, as `Detector.detect` promises."""
        return self.judge(fields, derived).findings

    def judge(self, fields: Fields, derived: Derived) -> Verdict:
        """Return findings and hits, as `Detector.judge` promises."""
        matched = self._find(fields, derived)
        if not matched:
            return NOTHING
        if type(matched) is tuple:  # what a key alone decides comes again and again
            told = self._told.get(matched)
            if told is not None:
                return told
        if self._only_fed.issuperset(matched):
            return self._note_told(tuple(matched))
        hidden: list[Hidden] = []
        if not self._exemptions.keys().isdisjoint(matched):
            matched = [n for n in matched if not self._is_exempt(n, fields, derived, hidden)]
        rules = self.ruleset.rules
        findings = [
            self._tell(rules[n], fields, derived) for n in matched if not rules[n].is_silent
        ]
        return Verdict(findings, [n for n in matched if n in self._fed], hidden)

    def _note_told(self, hits: tuple[int, ...]) -> Verdict:
        if len(self._told) >= TOLD_MAX:
            self._told.clear()
        told = self._told[hits] = Verdict((), hits)
        return told

    def counts(self) -> Counts:
        """Return what has been done so far."""
        routes = self.router.routes()
        return Counts(
            events=sum(route.events for route in routes),
            candidates=sum(route.candidates for route in routes),
            always=len({number for route in routes for number in route.index.always}),
            predicates=self.router.predicates,
            rules=len(self.ruleset.rules),
        )

    def _tell(self, rule: SigmaRule, fields: Fields, derived: Derived) -> Finding:
        say = self._says.get(rule.index)
        if say is None:
            say = self._says[rule.index] = _say_of(self.ruleset, rule)
        return Finding(
            rule.rule_id,
            rule.version,
            rule.severity,
            rule.title,
            say(fields, derived),
            rule.risk,
            rule.tags,
            rule.runbook,
            rule.why,
        )

    def _is_exempt(
        self, number: int, fields: Fields, derived: Derived, hidden: list[Hidden]
    ) -> bool:
        """Say whether an exception hides this match, and note which."""
        exemptions = self._exemptions.get(number)
        if not exemptions:
            return False
        key = self._keys[number]
        doc = (fields.get("details") or {}).get(key) if key else fields
        look = Look(doc if isinstance(doc, dict) else {}, derived, is_native=not key)
        for exemption in exemptions:
            if exemption.is_for(fields, derived) and exemption.test(look):
                exception_id = exemption.exception_id
                self.hidden[exception_id] += 1
                rule = self.ruleset.rules[number]
                finding = None if rule.is_silent else self._tell(rule, fields, derived)
                hidden.append(Hidden(rule.rule_id, exception_id, finding))
                return True
        return False


def _key_of(rule: SigmaRule) -> str:
    """Return where the records that a rule looks at lie in the details; '' for our own events."""
    product = rule.logsource.product
    return next((source.key for source in SOURCES if source.product == product), "")


def _say_of(ruleset: RuleSet, rule: SigmaRule) -> Say:
    """Fill templates from what the rule sees, else from the event around it."""

    def getter_of(name: str) -> Getter:
        near = ruleset.getter(rule.index, name)
        around = reader(name, is_native=True)

        def get(fields: Fields, derived: Derived) -> Sequence[str]:
            return near(fields, derived) or texts_of(around(fields, derived))

        return get

    return to_say(rule.summary or PLAIN, getter_of)


def _exemptions_of(ruleset: RuleSet) -> dict[int, list[_Exemption]]:
    compiler = Compiler([])
    found: dict[int, list[_Exemption]] = {}
    for exception, tree in zip(ruleset.exceptions, ruleset.exception_trees, strict=True):
        expires = datetime.fromisoformat(exception.expires).replace(tzinfo=UTC)
        exemption = _Exemption(
            exception.id,
            exception.expires,
            round(expires.timestamp() * 1000),
            exception.tenant,
            compiler.compile(tree),
        )
        for rule in sorted(exception.rules):
            found.setdefault(rule, []).append(exemption)
    return found
