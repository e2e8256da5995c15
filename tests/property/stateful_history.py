"""Histories of events over partitions, and all the ways in which they can reach stage 2."""

import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan, RuleSet
from detections.stateful.behaviours import parse_behaviour
from detections.stateful.keeper import Applied, Keeper
from detections.stateful.memory import Terms
from schemas.signal import CHAINED, Signal, decode, encode, key_of, parse_key

TERMS = Terms(grace_ms=50, future_ms=20, slack_ms=30)
END_MS = 2**50


class Event(NamedTuple):
    """One entry to be: where it lies, when it happened, when the broker took it."""

    partition: int
    offset: int
    occurred_ms: int
    recorded_ms: int
    slot: int
    value: Any

    @property
    def counts(self) -> bool:
        return -TERMS.future_ms <= self.recorded_ms - self.occurred_ms <= TERMS.grace_ms


_DESCRIBED: dict[str, Any] = {
    "id": "",
    "name": "rule",
    "version": 1,
    "title": "A rule",
    "severity": "medium",
    "risk": 10,
    "tags": (),
    "false_positives": (),
    "runbook": "",
    "summary": "",
    "why": "",
    "path": "rule.yml",
    "line": 1,
}


def correlation(kind: str, **given: Any) -> CorrelationPlan:
    plan: dict[str, Any] = {
        **_DESCRIBED,
        "type": kind,
        "rules": (0,),
        "group_by": ("user",),
        "aliases": {},
        "timespan_ms": 100,
        "operator": "gte",
        "threshold": 3.0,
        "upper": None,
        "fields": (),
        "percentile": None,
        "condition": None,
        "is_silent": False,
    }
    if kind.startswith("value_"):
        plan["fields"] = ("details.x",)
    return CorrelationPlan(**{**plan, **given})


def behaviour(kind: str, name: str = "rule", **given: Any) -> BehaviourPlan:
    parameters = dict(parse_behaviour(kind, {"value": "country"} if kind == "first_seen" else {}))
    described = {**_DESCRIBED, "name": name}
    return BehaviourPlan(**described, type=kind, selection=0, parameters={**parameters, **given})


def ruleset(*plans: CorrelationPlan | BehaviourPlan) -> RuleSet:
    return RuleSet(
        rules=(),
        correlations=tuple(plan for plan in plans if isinstance(plan, CorrelationPlan)),
        behaviours=tuple(plan for plan in plans if isinstance(plan, BehaviourPlan)),
        exceptions=(),
        refusals=(),
        version="0",
        trees=(),
        exception_trees=(),
    )


@st.composite
def histories(
    draw: st.DrawFn,
    values: st.SearchStrategy[Any],
    *,
    slots: int = 1,
    unit_ms: int = 1,
    span: int = 700,
    size: int = 40,
) -> list[Event]:
    """Draw up to `size` events in up to three partitions; in each the broker's time only grows."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, span),
                st.integers(-25, 55),
                st.integers(0, slots - 1),
                values,
            ),
            max_size=size,
        )
    )
    events: list[Event] = []
    for partition in range(3):
        mine = sorted((item for item in drawn if item[0] == partition), key=lambda item: item[1])
        for offset, (_, recorded, lag, slot, value) in enumerate(mine):
            recorded_ms = 1_000 * unit_ms + recorded * unit_ms
            occurred_ms = recorded_ms - lag
            events.append(Event(partition, offset, occurred_ms, recorded_ms, slot, value))
    return events


def deliver(keeper: Keeper, rule: str, events: Iterable[Event], seed: int) -> set[str]:
    """Bring events to a keeper in one of all possible ways; return the ids of its alerts."""
    return Delivery(keeper, rule, random.Random(seed)).run(events)


class Delivery:
    """Interleaves partitions, cuts runs, repeats suffixes, loses the watermark, drops old state."""

    slack_ms = TERMS.slack_ms

    def __init__(self, keeper: Keeper, rule: str, chance: random.Random) -> None:
        self.keeper = keeper
        self.rule = rule
        self.chance = chance
        self.states: dict[bytes, bytes] = {}
        self.due: dict[bytes, int | None] = {}
        self.expires: dict[bytes, int | None] = {}
        self.ids: set[str] = set()
        self.alerts: list[Any] = []
        self.highest_ms = 0

    def run(self, events: Iterable[Event]) -> set[str]:
        queues: dict[int, list[Event]] = {}
        for event in events:
            queues.setdefault(event.partition, []).append(event)
        done = dict.fromkeys(queues, 0)
        while any(done[partition] < len(queue) for partition, queue in queues.items()):
            partition = self.chance.choice([p for p in queues if done[p] < len(queues[p])])
            first = self.repeated(queues[partition], done[partition])
            after = min(
                len(queues[partition]), done[partition] + self.chance.choice([0, 1, 2, 6, 50])
            )
            watermark_ms = min(
                (queue[done[p]].recorded_ms for p, queue in queues.items() if done[p] < len(queue)),
                default=END_MS,
            )
            watermark_ms -= self.chance.choice([0, 0, 1, 10, 500, watermark_ms])
            self.highest_ms = max(self.highest_ms, watermark_ms)
            self.send(queues[partition][first:after], max(0, watermark_ms))
            done[partition] = max(done[partition], after)
        for _ in range(3):
            self.close(END_MS)
        return self.ids

    def repeated(self, queue: list[Event], done: int) -> int:
        """Return from where a worker reads again: never further back than the slack."""
        first = max(0, done - self.chance.choice([0, 0, 1, 5]))
        while first < done and queue[first].recorded_ms < self.highest_ms - self.slack_ms:
            first += 1
        return first

    def send(self, events: Sequence[Event], watermark_ms: int) -> None:
        if events:
            entries = [
                (e.offset, e.occurred_ms, e.recorded_ms, e.slot, e.value, _who(e)) for e in events
            ]
            signal = Signal(self.rule, 1, "default", ("jane",), "abc", events[0].partition, entries)
            self.apply(signal, watermark_ms)
        if self.chance.random() < 0.7:
            self.close(watermark_ms)

    def apply(self, signal: Signal, watermark_ms: int) -> None:
        raw = encode(signal)
        message = decode(raw)
        key = key_of(message)
        self.note(key, self.keeper.apply(message, self.states.get(key), watermark_ms), watermark_ms)

    def close(self, watermark_ms: int) -> None:
        for key, state in list(self.states.items()):
            due_ms = self.due[key]
            assert due_ms == self.keeper.due_ms(parse_key(key), state)
            assert self.expires[key] == self.keeper.expires_ms(parse_key(key), state)
            if due_ms is not None and due_ms <= watermark_ms:
                self.note(key, self.keeper.close(parse_key(key), state, watermark_ms), watermark_ms)
                continue
            expires_ms = self.expires[key]
            if expires_ms is not None and expires_ms <= watermark_ms < END_MS:
                del self.states[key]

    def note(self, key: bytes, applied: Applied, watermark_ms: int) -> None:
        self.ids |= {alert.alert_id for alert in applied.alerts}
        self.alerts += applied.alerts
        self.states.pop(key, None)
        if applied.state is not None:
            self.states[key] = applied.state
            self.due[key], self.expires[key] = applied.due_ms, applied.expires_ms
        for signal in applied.signals:
            assert signal.partition == CHAINED
            for _ in range(self.chance.randint(1, 2)):
                self.apply(signal, watermark_ms)


def _who(event: Event) -> tuple[str, ...]:
    return (f"id-{event.partition}-{event.offset}", "jane", "a.b", "portal", "192.0.2.1", "s1")
