"""Stage 1's side of rules with a memory: what an event tells them, as few signals as can be. Pure.

Whatever is left out here could not have changed anything there: events that lack a value of the
group, late ones, and repeats within a step of time that a behaviour looks at only once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple
from weakref import proxy

from detections.rule import Derived, Fields, Finding
from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan, Getter, RuleSet
from detections.sigma.view import Read
from detections.stateful.alerts import DEFAULT_TENANT, Plan
from detections.stateful.chains import RISK, made_of
from detections.stateful.keeper import group_names
from detections.stateful.memory import Terms
from detections.stateful.novelty import DAY_MS
from detections.stateful.plans import refuse
from detections.stateful.reading import (
    Carry,
    PlainRead,
    ValueRead,
    carry_exact,
    carry_of,
    carrying,
    groups_of,
    nothing_read,
    plain_read,
    read_countries,
    read_texts,
    read_values,
)
from detections.stateful.silence import MINUTE_MS
from detections.stateful.travel import STEP_MS
from schemas.signal import TEXT_MAX, Entry, Signal, Value

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
    carry: tuple[Carry, ...] = ()  # of the group and of what is counted


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
        self._special: Final[dict[int, list[tuple[_Feed, CorrelationPlan]]]] = {}
        self._risks: Final[list[tuple[int, tuple[Callable[..., Sequence[str]], ...]]]] = []
        for number, plan in enumerate(self._plans):
            if isinstance(plan, BehaviourPlan):
                self._feed_behaviour(number, plan, ruleset)
            else:
                self._feed_correlation(number, plan, ruleset)
        self.fed: Final = frozenset((*self._feeds, *self._special))
        self._made_of: Final = {plan.rule_id: made_of(plan, ruleset) for plan in self._plans}
        self.tally: Final[Counter[str]] = Counter()
        self._groups: dict[tuple[int, int, tuple[str, ...]], list[Entry]] = {}
        self._sent: dict[tuple[Any, ...], int] = {}
        self._places: dict[tuple[str, str, int], int] = {}  # numbered, for short keys
        self._numbers = count()
        self._takes = {
            hit: [self._to_take(feed) for feed in feeds] for hit, feeds in self._feeds.items()
        }
        self._bundles: dict[tuple[int, ...], list[_Take]] = {}
        self._no_special: Final = self._special.keys().isdisjoint
        self._no_special_unfound: Final = {
            hit
            for hit, pairs in self._special.items()
            if not all(plan.needs_finding for _, plan in pairs)
        }.isdisjoint

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
        if not (self._no_special if findings else self._no_special_unfound)(hits):
            self._take_special(hits, findings, fields, derived, origin)
        if lag_ms > self._grace_ms or -lag_ms > self._future_ms:
            self.tally["late" if lag_ms > 0 else "future"] += 1
            return
        place = self._places.get((tenant, incarnation, partition))
        if place is None:
            place = self._place((tenant, incarnation, partition))
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

    def _place(self, where: tuple[str, str, int]) -> int:
        if where not in self._places:
            self._places[where] = next(self._numbers)
        return self._places[where]

    def _take_special(
        self,
        hits: Sequence[int],
        findings: Sequence[Finding],
        fields: Fields,
        derived: Derived,
        origin: Origin,
    ) -> None:
        """Take what plans ask for that count by the broker's time, findings, or over tenants."""
        lag_ms = origin.recorded_ms - origin.occurred_ms
        is_off = lag_ms > self._grace_ms or -lag_ms > self._future_ms
        for feed, plan in [pair for hit in hits for pair in self._special.get(hit, ())]:
            if (origin.only and not self._concerns(feed.number, origin.only)) or (
                plan.needs_finding and not findings
            ):
                continue
            seen = origin
            if plan.is_by_recorded:
                seen = seen._replace(occurred_ms=origin.recorded_ms)
            elif is_off:
                continue
            if plan.spans_tenants and not origin.only:  # a canary stays by itself
                seen = seen._replace(tenant=DEFAULT_TENANT)
            place = self._place((seen.tenant, seen.incarnation, seen.partition))
            self._take(feed, fields, derived, seen, place)

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
            names = [plan.field_in(rule, name) for name in plan.group_by]
            counted = [plan.field_in(rule, name) for name in plan.fields]
            carry = tuple(map(carry_of, [*plan.group_by, *plan.fields], [*names, *counted]))
            getters = [ruleset.getter(rule, name) for name in (*names, *counted)]
            group = tuple(map(carrying, getters[: len(names)], carry))
            values = read_values(plan, getters[len(names) :], carry[len(names) :])
            plain = None
            if not plan.fields or plan.type == "value_count":
                plain = plain_read(ruleset, rule, names, counted)
            feed = _Feed(number, slot, group, values, None, plain, carry)
            if plan.is_special:
                self._special.setdefault(rule, []).append((feed, plan))
            else:
                self._feeds.setdefault(rule, []).append(feed)

    def _feed_behaviour(self, number: int, plan: BehaviourPlan, ruleset: RuleSet) -> None:
        names = group_names(plan)
        name, is_plain = plan.parameters.get("value"), True
        carry = tuple(map(carry_of, [*names, *([name] if name else [])]))
        getters = [ruleset.getter(plan.selection, name) for name in names]
        group = tuple(map(carrying, getters, carry))
        if plan.type == RISK:
            self._risks.append((number, group))
            return
        values: ValueRead = nothing_read
        if name:
            values = read_texts([carrying(ruleset.getter(plan.selection, name), carry[-1])])
        if plan.type == "impossible_travel":
            networks = ruleset.getter(plan.selection, _NETWORK)
            values = read_countries(values, networks, plan.parameters)
            is_plain = not (plan.parameters["ignore_countries"] or plan.parameters["vpn_asns"])
        plain = None
        if is_plain:
            plain = plain_read(ruleset, plan.selection, names, [name] if name else [])
        feed = _Feed(number, 0, group, values, _STEPS.get(plan.type), plain, carry)
        self._feeds.setdefault(plan.selection, []).append(feed)

    def _to_take(self, feed: _Feed) -> _Take:
        """Return what `_take` does for a feed, without detours where all values are texts."""
        me = proxy(self)  # what is kept in here must not keep us: nobody may look for circles
        take_any = partial(Extractor._take, me, feed)
        if feed.plain is None:
            return take_any
        number, slot, step = feed.number, feed.slot, feed.step
        read, read_more, read_value = feed.plain
        carry, carry_more, *_ = (*feed.carry, carry_exact)
        carry_value = feed.carry[-1]
        span_ms, is_by_occurred = step or _Step(0)
        groups, tally, was_sent = self._groups, self.tally, partial(Extractor._was_sent, me)

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
            values = (carry(text), carry_more(more)) if read_more else (carry(text),)
            short = (text, more, value) if is_long else text
            value = carry_value(value) if read_value else None
            if span_ms:
                moment = (occurred_ms if is_by_occurred else recorded_ms) // span_ms
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
        for group in groups_of(feed.group, fields, derived):
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
            for group in groups_of(getters, fields, derived):
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


def _cut(entries: list[Entry]) -> list[list[Entry]]:
    """Cut entries into parts that a message may hold, never between those of one event."""
    parts: list[list[Entry]] = [[]]
    for entry in entries:
        last = parts[-1]
        if len(last) >= ENTRIES_CUT and last[-1][0] != entry[0]:
            parts.append([])
        parts[-1].append(entry)
    return parts
