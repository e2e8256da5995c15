"""Stage 1's side of rules with a memory: what an event tells them, as few signals as can be. Pure.

Whatever is left out here could not have changed anything there: events that lack a value of the
group, late ones, and repeats within a step of time that a behaviour looks at only once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count, islice, product
from typing import Any, Final, NamedTuple

from detections.rule import Derived, Fields, Finding
from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan, Getter, RuleSet
from detections.sigma.view import Read
from detections.stateful.alerts import Plan
from detections.stateful.chains import RISK
from detections.stateful.keeper import group_names
from detections.stateful.memory import Terms
from detections.stateful.novelty import DAY_MS
from detections.stateful.plans import refuse
from detections.stateful.reading import (
    PlainRead,
    ValueRead,
    bounded,
    nothing_read,
    plain_read,
    read_countries,
    read_texts,
    read_values,
)
from detections.stateful.silence import MINUTE_MS
from detections.stateful.travel import STEP_MS
from schemas.signal import TEXT_MAX, Entry, Signal, Value

GROUPS_MAX: Final = 16  # of one event and rule: fields that are lists make several
SENT_MAX: Final = 100_000  # remembered so as not to repeat them
PLACES_MAX: Final = 4_096  # tenants times partitions, remembered from run to run
LATEST_MAX: Final = 1_024  # of `SENT_MAX`, those of one plan that are found faster
BUNDLES_MAX: Final = 4_096  # sets of rules that matched one event
ENTRIES_CUT: Final = 1_000  # of one signal; the rest of an event still goes with it

_NETWORK: Final = "asn"
_NONE: Final = "-"  # stands for what a plan does not read


class Origin(NamedTuple):
    """Where an event lies, when it happened and when the broker took it, and who it is about.

    `who` is that of an entry: event id, user, action, resource, IP address, session. `only` is for
    a canary: the one rule that hears of it, with those that it is made of.
    """

    tenant: str
    incarnation: str
    partition: int
    offset: int
    occurred_ms: int
    recorded_ms: int
    who: tuple[str, str, str, str, str, str]
    only: str = ""


_OFFSET: Final = 3  # the place of `offset` in it
_Take = Callable[[Fields, Derived, Origin, int], None]


class _Step(NamedTuple):
    """Within a step of time only the first event is asked for."""

    span_ms: int
    is_by_occurred: bool = False  # else by the broker's time

    def of(self, origin: Origin) -> int:
        """Return the number of the step that an event lies in."""
        return (origin.occurred_ms if self.is_by_occurred else origin.recorded_ms) // self.span_ms


class _Feed(NamedTuple):
    """How a match of one base rule becomes entries of one plan."""

    number: int  # the plan's place
    slot: int
    group: tuple[Getter, ...]
    values: ValueRead
    step: _Step | None
    plain: PlainRead | None = None  # where all are texts


class Extractor:
    """Collects what the events of a run tell; `drain` hands it out at the run's end.

    What it remembers of earlier runs only keeps it from saying the same again; it is by offset,
    so that a run read again says the same as before.
    """

    def __init__(self, ruleset: RuleSet, terms: Terms | None = None) -> None:
        self._grace_ms, self._future_ms, _ = terms or Terms()
        plans: tuple[Plan, ...] = (*ruleset.correlations, *ruleset.behaviours)
        self._plans: Final = [plan for plan in plans if not refuse(plan, ruleset)]
        self._feeds: Final[dict[int, list[_Feed]]] = {}
        self._risks: Final[list[tuple[int, tuple[Callable[..., Sequence[str]], ...]]]] = []
        for number, plan in enumerate(self._plans):
            if isinstance(plan, BehaviourPlan):
                self._feed_behaviour(number, plan, ruleset)
            else:
                self._feed_correlation(number, plan, ruleset)
        self.fed: Final = frozenset(self._feeds)
        self._made_of: Final = {plan.rule_id: _made_of(plan, ruleset) for plan in self._plans}
        self.tally: Final[Counter[str]] = Counter()
        self._groups: dict[tuple[int, int, tuple[str, ...]], list[Entry]] = {}
        self._sent: dict[tuple[Any, ...], int] = {}
        self._places: dict[tuple[str, str, int], int] = {}  # numbered, for short keys
        self._numbers = count()
        self._takes = {
            hit: [self._to_take(feed) for feed in feeds] for hit, feeds in self._feeds.items()
        }
        self._bundles: dict[tuple[int, ...], list[_Take]] = {}

    def take(
        self,
        hits: Sequence[int],
        findings: Sequence[Finding],
        fields: Fields,
        derived: Derived,
        origin: Origin,
    ) -> None:
        """Take what one event's hits, and its findings' risk, tell. Total for any event."""
        tenant, incarnation, partition, _, occurred_ms, recorded_ms, _, only = origin
        lag_ms = recorded_ms - occurred_ms
        if lag_ms > self._grace_ms or -lag_ms > self._future_ms:
            self.tally["late" if lag_ms > 0 else "future"] += 1
            return
        place = self._places.get((tenant, incarnation, partition))
        if place is None:
            place = self._places[tenant, incarnation, partition] = next(self._numbers)
        if only:
            for hit in hits:
                for feed in self._feeds.get(hit, ()):
                    if self._concerns(feed.number, only):
                        self._take(feed, fields, derived, origin, place)
        else:
            known = tuple(hits)
            for take in self._bundles.get(known) or self._bundle(known):
                take(fields, derived, origin, place)
        if findings and self._risks:
            self._add_risk(findings, fields, derived, origin, place)

    def drain(self) -> list[Signal]:
        """Return the signals of the run so far, each of bounded size, and begin the next."""
        where = {place: known for known, place in self._places.items()}
        signals: list[Signal] = []
        for (number, place, values), entries in self._groups.items():
            plan = self._plans[number]
            tenant, *source = where[place]
            head = (plan.rule_id, plan.version, tenant, values, *source)
            parts = _cut(entries) if len(entries) > ENTRIES_CUT else (entries,)
            signals += [tuple.__new__(Signal, (*head, part)) for part in parts]
        self._groups.clear()
        if len(self._places) >= PLACES_MAX:
            self._places.clear()
            self._sent.clear()
        return signals

    def _bundle(self, hits: tuple[int, ...]) -> list[_Take]:
        if len(self._bundles) >= BUNDLES_MAX:
            self._bundles.clear()
        takes = [take for hit in hits for take in self._takes.get(hit, ())]
        self._bundles[hits] = takes
        return takes

    def _feed_correlation(self, number: int, plan: CorrelationPlan, ruleset: RuleSet) -> None:
        for slot, rule in enumerate(plan.rules):
            if isinstance(rule, str):
                continue  # fed in stage 2
            group = tuple(ruleset.getter(rule, plan.field_in(rule, name)) for name in plan.group_by)
            getters = [ruleset.getter(rule, plan.field_in(rule, name)) for name in plan.fields]
            values = read_values(plan, getters)
            plain = None
            if not plan.fields or plan.type == "value_count":
                names = [plan.field_in(rule, name) for name in plan.group_by]
                counted = [plan.field_in(rule, name) for name in plan.fields]
                plain = plain_read(ruleset, rule, names, counted)
            feed = _Feed(number, slot, group, values, None, plain)
            self._feeds.setdefault(rule, []).append(feed)

    def _feed_behaviour(self, number: int, plan: BehaviourPlan, ruleset: RuleSet) -> None:
        names = group_names(plan)
        group = tuple(ruleset.getter(plan.selection, name) for name in names)
        if plan.type == RISK:
            self._risks.append((number, group))
            return
        values: ValueRead = nothing_read
        name, is_plain = plan.parameters.get("value"), True
        if name:
            values = read_texts([ruleset.getter(plan.selection, name)])
        if plan.type == "impossible_travel":
            networks = ruleset.getter(plan.selection, _NETWORK)
            values = read_countries(values, networks, plan.parameters)
            is_plain = not (plan.parameters["ignore_countries"] or plan.parameters["vpn_asns"])
        plain = None
        if is_plain:
            plain = plain_read(ruleset, plan.selection, names, [name] if name else [])
        feed = _Feed(number, 0, group, values, _STEPS.get(plan.type), plain)
        self._feeds.setdefault(plan.selection, []).append(feed)

    def _to_take(self, feed: _Feed) -> _Take:
        """Return what `_take` does for a feed, without detours where all values are texts."""
        take_any = partial(self._take, feed)
        if feed.plain is None:
            return take_any
        number, slot, step = feed.number, feed.slot, feed.step
        read, read_more, read_value = feed.plain
        span_ms, is_by_occurred = step or _Step(0)
        groups, tally, was_sent = self._groups, self.tally, self._was_sent

        is_long = read_more is not None or read_value is not None
        latest: dict[object, tuple[int, int, int]] = {}  # as `sent`, with a shorter key

        def take(fields: Fields, derived: Derived, origin: Origin, place: int) -> None:
            text = read(fields, derived)
            more = read_more(fields, derived) if read_more else _NONE
            value = read_value(fields, derived) if read_value else _NONE
            is_plain = type(text) is type(more) is type(value) is str and text and more and value
            if not is_plain or len(text) + len(more) + len(value) > TEXT_MAX:
                return take_any(fields, derived, origin, place)
            _, _, _, offset, occurred_ms, recorded_ms, who, _ = origin
            values = (text, more) if read_more else (text,)
            value = value if read_value else None
            if span_ms:
                moment = (occurred_ms if is_by_occurred else recorded_ms) // span_ms
                short = (text, more, value) if is_long else text
                last = latest.get(short)
                if last and last[0] == moment and last[1] == place and last[2] < offset:
                    tally["repeat"] += 1
                    return None
                if was_sent((number, place, values, value, moment), offset):
                    return None
                if len(latest) >= LATEST_MAX:
                    latest.clear()
                latest[short] = (moment, place, offset)
            key = (number, place, values)
            entry = (offset, occurred_ms, recorded_ms, slot, value, who)
            if key in groups:
                groups[key].append(entry)
            else:
                groups[key] = [entry]
            return None

        return take if is_long or step is None else self._to_brief(take, read, step, latest)

    def _to_brief(
        self, take: _Take, read: Read, step: _Step, latest: Mapping[object, tuple[int, int, int]]
    ) -> _Take:
        """Return the same, with the shortest way for what a whole source repeats all the time."""
        tally, (span_ms, is_by_occurred) = self.tally, step
        time = Origin._fields.index("occurred_ms" if is_by_occurred else "recorded_ms")

        def take_brief(fields: Fields, derived: Derived, origin: Origin, place: int) -> None:
            text = read(fields, derived)
            last = latest.get(text) if type(text) is str else None
            if last is None or last[1] != place or last[2] >= origin[_OFFSET]:
                return take(fields, derived, origin, place)
            moment: Any = origin[time]
            if last[0] != moment // span_ms:
                return take(fields, derived, origin, place)
            tally["repeat"] += 1
            return None

        return take_brief

    def _take(
        self, feed: _Feed, fields: Fields, derived: Derived, origin: Origin, place: int
    ) -> None:
        values = feed.values(fields, derived)
        if not values:
            return
        for group in _groups_of(feed.group, fields, derived):
            for value in values:
                if feed.step is not None:
                    told = (feed.number, place, group, value, feed.step.of(origin))
                    if self._was_sent(told, origin.offset):
                        continue
                self._add((feed.number, place, group), feed.slot, value, origin)

    def _add_risk(
        self,
        findings: Sequence[Finding],
        fields: Fields,
        derived: Derived,
        origin: Origin,
        place: int,
    ) -> None:
        for number, getters in self._risks:
            if origin.only and not self._concerns(number, origin.only):
                continue
            for group in _groups_of(getters, fields, derived):
                for finding in findings:
                    if finding.risk > 0:
                        value: Value = [finding.risk, finding.rule_id]
                        self._add((number, place, group), 0, value, origin)

    def _concerns(self, number: int, only: str) -> bool:
        return self._plans[number].rule_id in self._made_of.get(only, ())

    def _add(
        self, key: tuple[int, int, tuple[str, ...]], slot: int, value: Value, origin: Origin
    ) -> None:
        _, _, _, offset, occurred_ms, recorded_ms, who, _ = origin
        entry = (offset, occurred_ms, recorded_ms, slot, value, who)
        self._groups.setdefault(key, []).append(entry)

    def _was_sent(self, told: tuple[Any, ...], offset: int) -> bool:
        """Say whether an earlier event of this partition told the same of this step of time."""
        before = self._sent.get(told)
        if before is not None and before < offset:
            self.tally["repeat"] += 1
            return True
        if len(self._sent) >= SENT_MAX:
            self._sent.clear()
        self._sent[told] = offset
        return False


# Within these steps of time a behaviour asks only for the first event of a group and value.
_STEPS: Final[Mapping[str, _Step]] = {
    "first_seen": _Step(DAY_MS),
    "dormant": _Step(DAY_MS),
    "silent_source": _Step(MINUTE_MS),
    "impossible_travel": _Step(STEP_MS, is_by_occurred=True),
}


def _made_of(plan: Plan, ruleset: RuleSet) -> frozenset[str]:
    """Return a plan's rule and the correlations that feed it, however deep; none is a circle."""
    found, waiting = {plan.rule_id}, [plan]
    while waiting:
        plan = waiting.pop()
        if isinstance(plan, CorrelationPlan):
            fed_by = {rule for rule in plan.rules if isinstance(rule, str)} - found
            found |= fed_by
            waiting += [other for other in ruleset.correlations if other.rule_id in fed_by]
    return frozenset(found)


def _cut(entries: list[Entry]) -> list[list[Entry]]:
    """Cut entries into parts that a message may hold, never between those of one event."""
    parts: list[list[Entry]] = [[]]
    for entry in entries:
        last = parts[-1]
        if len(last) >= ENTRIES_CUT and last[-1][0] != entry[0]:
            parts.append([])
        parts[-1].append(entry)
    return parts


def _groups_of(
    getters: Sequence[Callable[..., Sequence[str]]], fields: Fields, derived: Derived
) -> Sequence[tuple[str, ...]]:
    """Return the groups of an event: none if a value is missing, several if one is a list."""
    found: list[tuple[str, ...]] = []
    is_single = True
    for get in getters:
        texts = get(fields, derived)
        if not texts or (len(texts) == 1 and not texts[0]):
            return ()
        if len(texts) > 1:
            is_single = False
        found.append(tuple(texts))
    if is_single:
        return (tuple([bounded(texts[0]) for texts in found]),)
    distinct = [tuple(dict.fromkeys(bounded(text) for text in texts if text)) for texts in found]
    return list(islice(product(*distinct), GROUPS_MAX))
