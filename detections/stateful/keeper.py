"""Stage 2's side of rules with a memory: signals and state in, state and alerts out. Pure.

The set of alert ids is a function of the set of entries that ever arrived: neither the order of
partitions, nor how entries are cut into signals, nor repeats, nor when `close` is called change it.
"""

from collections import Counter
from typing import Final, NamedTuple

from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan, RuleSet
from detections.stateful.alerts import Plan, StatefulAlert, to_alert
from detections.stateful.chains import Chains
from detections.stateful.memory import (
    ALERTED_MAX,
    NEVER,
    SOURCES_MAX,
    Machine,
    Memory,
    Terms,
    close_memory,
    open_memory,
)
from detections.stateful.plans import machine_of
from schemas.errors import Misconfigured
from schemas.signal import CHAINED, Signal, StateKey

INCARNATION_SHOWN: Final = 8  # characters that tell two lives of a topic apart


class Applied(NamedTuple):
    """What became of a state. `state` is the very object given if nothing changed.

    `signals` are for rules that alerts of this one feed. From the watermark `due_ms` on, `close`
    has something to decide; from `expires_ms` on the state can be dropped without any effect.
    """

    state: bytes | None
    alerts: tuple[StatefulAlert, ...] = ()
    signals: tuple[Signal, ...] = ()
    due_ms: int | None = None
    expires_ms: int | None = None


class _Served(NamedTuple):
    """A plan with its machine and the names of its group's values."""

    plan: Plan
    machine: Machine
    names: tuple[str, ...]


class Keeper:
    """Applies signals by the rules of one rule set.

    `tally` counts entries by what became of them: taken, repeat, late, future, unknown (of a rule
    or version that is not loaded), thinned (left out by a bound), and missed (below the watermark:
    a repeat of what was forgotten, or of a source that was given up as idle). `refused` names the
    plans that can't be served, and why.
    """

    def __init__(self, ruleset: RuleSet, terms: Terms | None = None) -> None:
        self._terms: Final = terms or Terms()
        self._served: Final[dict[tuple[str, int], _Served]] = {}
        self.refused: Final[dict[str, str]] = {}
        self.tally: Final[Counter[str]] = Counter()
        plans: tuple[Plan, ...] = (*ruleset.correlations, *ruleset.behaviours)
        for plan in plans:
            try:
                machine = machine_of(plan, ruleset, self._terms)
            except Misconfigured as error:
                self.refused[plan.rule_id] = str(error)
                continue
            served = _Served(plan, machine, group_names(plan))
            self._served[plan.rule_id, plan.version] = served
        self._chains: Final = Chains(ruleset)

    def serves(self, rule: str, version: int) -> bool:
        """Say whether a rule is loaded in this version; state of any other is of no use."""
        return (rule, version) in self._served

    def apply(self, signal: Signal, state: bytes | None, watermark_ms: int = NEVER) -> Applied:
        """Take a signal's entries in. Raises `Broken` for state that is not ours.

        `watermark_ms`: no entry recorded before it is still to come, of any source partition.
        """
        served = self._served.get((signal.rule, signal.version))
        if served is None:
            self.tally["unknown"] += len(signal.entries)
            return Applied(state)
        machine = served.machine
        memory = open_memory(state, machine, watermark_ms)
        if not self._take(machine, memory, signal):
            due_ms = machine.due_ms(memory.body)
            if due_ms is None or watermark_ms < due_ms:
                return Applied(state, (), (), due_ms, self._expires_ms(machine, memory, due_ms))
        return self._finish(served, memory, signal.tenant, signal.group)

    def close(self, key: StateKey, state: bytes, watermark_ms: int) -> Applied:
        """Decide what has waited for the watermark, as `apply` would."""
        served = self._served.get((key.rule, key.version))
        if served is None:
            return Applied(state)
        memory = open_memory(state, served.machine, watermark_ms)
        due_ms = served.machine.due_ms(memory.body)
        if due_ms is None or watermark_ms < due_ms:
            expires_ms = self._expires_ms(served.machine, memory, due_ms)
            return Applied(state, (), (), due_ms, expires_ms)
        return self._finish(served, memory, key.tenant, key.group)

    def due_ms(self, key: StateKey, state: bytes) -> int | None:
        """Return the watermark from which `close` has something to decide; None if nothing waits.

        For a state read anew: `Applied` has it of all others.
        """
        served = self._served.get((key.rule, key.version))
        if served is None:
            return None
        return served.machine.due_ms(open_memory(state, served.machine, NEVER).body)

    def expires_ms(self, key: StateKey, state: bytes) -> int | None:
        """Return the watermark from which the state can be dropped; None while something waits.

        State of a rule that is not loaded can be dropped at once.
        """
        served = self._served.get((key.rule, key.version))
        if served is None:
            return NEVER
        memory = open_memory(state, served.machine, NEVER)
        return self._expires_ms(served.machine, memory, served.machine.due_ms(memory.body))

    def _take(self, machine: Machine, memory: Memory, signal: Signal) -> bool:
        """Add the entries that are new; say whether there was any."""
        partition, tally = signal.partition, self.tally
        if partition == CHAINED:
            for entry in signal.entries:
                machine.add(memory, entry, partition)
            tally["taken"] += len(signal.entries)
            return True
        source = f"{signal.incarnation[:INCARNATION_SHOWN]}:{partition}"
        applied = last = memory.applied.get(source, -1)
        grace_ms, future_ms, _ = self._terms
        taken = 0
        for entry in signal.entries:
            offset, lag_ms = entry[0], entry[2] - entry[1]
            if offset <= applied:
                tally["repeat"] += 1
                continue
            last = max(last, offset)
            if lag_ms > grace_ms:
                tally["late"] += 1
            elif -lag_ms > future_ms:
                tally["future"] += 1
            else:
                machine.add(memory, entry, partition)
                taken += 1
        if last == applied:
            return False
        tally["taken"] += taken
        memory.applied[source] = last
        if len(memory.applied) > SOURCES_MAX:
            del memory.applied[next(iter(memory.applied))]
        return True

    def _finish(
        self, served: _Served, memory: Memory, tenant: str, group: tuple[str, ...]
    ) -> Applied:
        """Let the machine decide, and make alerts of what crossed."""
        plan, machine, names = served
        machine.advance(memory)
        if memory.thinned or memory.missed:
            self.tally["thinned"] += memory.thinned
            self.tally["missed"] += memory.missed
        alerts: tuple[StatefulAlert, ...] = ()
        signals: tuple[Signal, ...] = ()
        if memory.alerted:
            self._forget_alerted(machine, memory)
        if memory.crossings:
            crossings = memory.crossings  # all: no more than a few for each of its entries
            alerts = tuple(to_alert(plan, names, tenant, group, each) for each in crossings)
            signals = self._chains.signals(plan, tenant, group, alerts, crossings)
            if isinstance(plan, CorrelationPlan) and plan.is_silent:
                alerts = ()
        due_ms = machine.due_ms(memory.body)
        expires_ms = self._expires_ms(machine, memory, due_ms)
        if due_ms is None and expires_ms is None:
            return Applied(None, alerts, signals)
        return Applied(close_memory(memory), alerts, signals, due_ms, expires_ms)

    def _forget_alerted(self, machine: Machine, memory: Memory) -> None:
        """Forget alerted buckets that no entry still to come can reach."""
        alerted = memory.alerted
        if memory.watermark_ms and machine.bucket_ms:
            reach_ms = self._reach_ms(machine)
            oldest = (memory.watermark_ms - reach_ms) // machine.bucket_ms - 1
            if min(alerted) < oldest:
                memory.alerted = [bucket for bucket in alerted if bucket >= oldest]
        if len(memory.alerted) > ALERTED_MAX:
            memory.alerted = sorted(memory.alerted)[-ALERTED_MAX:]

    def _reach_ms(self, machine: Machine) -> int:
        return machine.retention_ms + machine.grace_ms + self._terms.slack_ms

    def _expires_ms(self, machine: Machine, memory: Memory, due_ms: int | None) -> int | None:
        """Return when a state is of no use any more; None while something waits, or if empty."""
        if due_ms is not None:
            return None
        last_ms = machine.last_ms(memory.body)
        if memory.alerted and machine.bucket_ms:
            alerted_ms = (max(memory.alerted) + 1) * machine.bucket_ms
            last_ms = alerted_ms if last_ms is None else max(last_ms, alerted_ms)
        return None if last_ms is None else last_ms + self._reach_ms(machine)


def group_names(plan: Plan) -> tuple[str, ...]:
    """Return the names of the values by which a plan groups, tenant left out."""
    if isinstance(plan, BehaviourPlan):
        return tuple(plan.parameters["group"])
    return plan.group_by
