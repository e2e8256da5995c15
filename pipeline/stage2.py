"""Stage 2: one partition of the signals, a run at a time, from states to states and alerts. Pure.

What a run changes is staged in the book until it was written; see `pipeline.groups`.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from detections.stateful.alerts import DEFAULT_TENANT, StatefulAlert, to_rfc3339
from detections.stateful.keeper import Applied, Keeper
from detections.stateful.memory import NEVER
from pipeline.clocks import CLOCK_KEY, decode_clocks
from pipeline.groups import Groups
from pipeline.notice import fill_runbook
from pipeline.run import OutAlert, OutSignal, RawRecord, Run
from pipeline.watermark import IDLE_S, Watermark
from schemas.alert import Alert, alert_id
from schemas.canary import TENANT as CANARY_TENANT
from schemas.canary import is_run_tenant
from schemas.errors import BadEvent, Broken
from schemas.signal import decode, encode, key_of, parse_key
from schemas.topics import STATE_MESSAGE_BYTES_MAX

# What state raises that was not written by this rule as it is now: its kind was changed under the
# same version, or the bytes are no state at all.
FOREIGN: Final = (
    BadEvent,
    Broken,
    TypeError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
)
OVERFLOW_RULE: Final = "audit-state-overflow"
STATE_BYTES_MAX: Final = STATE_MESSAGE_BYTES_MAX // 2  # a group beyond it begins anew
OPEN_SLICE: Final = 1_000  # groups looked at in one go when a journal was read: some 5 ms
SWEEP_PERIOD_S: Final = 600.0
SWEEP_SLICE: Final = 500  # groups looked at after a run: some milliseconds
CLOSES_MAX: Final = 1_000  # groups closed after a run, or as many as it had signals
DUE_STALE_MAX: Final = 1_000  # entries of the heap that no group waits for any more
HOUR_MS: Final = 3_600_000


class Changes(NamedTuple):
    """What is to be written before a run may be acknowledged."""

    states: Mapping[bytes, bytes | None]
    alerts: list[OutAlert]
    signals: list[OutSignal]


class Stage2Tally:
    """What stage 2 has done since it was made; counts only grow."""

    def __init__(self) -> None:
        self.signals = 0
        self.malformed = 0
        self.bugs = 0
        self.alerts = 0
        self.expired = 0
        self.shed: Counter[str] = Counter()  # groups that were given up for room, by rule


class Rules:
    """The rules that all books go by; `use` gives them others between two runs."""

    def __init__(self, keeper: Keeper, version: str) -> None:
        self.tally: Final = Stage2Tally()
        self._past: Counter[str] = Counter()
        self.keeper = keeper
        self.version = version

    def use(self, keeper: Keeper, version: str) -> None:
        """Go by these rules from the next run on; `version` stands on their alerts."""
        self._past += self.keeper.tally
        self.keeper = keeper
        self.version = version

    def entries(self) -> Counter[str]:
        """Return how many entries of signals there were, by what became of them."""
        return self._past + self.keeper.tally


@dataclass(frozen=True, slots=True)
class BookTerms:
    """The bounds of a book. An alert of what came in that late is `historical`."""

    groups_max: int
    historical_ms_min: int
    idle_s: float = IDLE_S
    on_bug: Callable[[Exception], None] = lambda _bug: None


class Book:
    """All that is known of one partition of the signals: its groups, its time, what is due."""

    def __init__(self, rules: Rules, terms: BookTerms, monotonic: Callable[[], float]) -> None:
        self._rules = rules
        self._terms = terms
        self._monotonic = monotonic
        self._watermark = Watermark(monotonic, terms.idle_s)
        self._due: list[tuple[int, bytes]] = []
        self._due_ms: dict[bytes, int] = {}
        self._large: Counter[str] = Counter()  # groups of this run that grew too large, by rule
        self._swept_at = monotonic()
        self.groups: Final = Groups(terms.groups_max)
        self.watermark_ms = NEVER

    def open(self) -> Iterator[None]:
        """Look through what was loaded, slice by slice, for what waits to be closed."""
        groups = self.groups.items()
        while part := list(islice(groups, OPEN_SLICE)):
            for key, state in part:
                try:
                    self._wait_for(key, self._rules.keeper.due_ms(parse_key(key), state))
                except FOREIGN:
                    self.groups.put(key, None)
            yield

    def take(self, run: Run) -> Changes:
        """Apply a run of signals; what it changed is staged. Total."""
        changes = Changes(self.groups.changes, [], [])
        at_ms = run.records[-1].timestamp
        for record in run.records:
            self._guard(partial(self._take, record, changes))
        for key in self._ripe(max(CLOSES_MAX, len(run.records))):
            self._guard(partial(self._close, key, changes))
        self._sweep()
        self._shed(at_ms, changes)
        self._rules.tally.alerts += len(changes.alerts)
        return changes

    def settle(self) -> None:
        """Make what was staged the state: it was written."""
        self.groups.settle()

    def _guard(self, work: Callable[[], None]) -> None:
        """Let no single signal or group block the partition."""
        try:
            work()
        except BadEvent:
            self._rules.tally.malformed += 1
        except MemoryError:
            raise
        except Exception as bug:  # noqa: BLE001 - one signal must never block its partition
            self._rules.tally.bugs += 1
            self._terms.on_bug(bug)

    def _take(self, record: RawRecord, changes: Changes) -> None:
        key = record.key
        if key == CLOCK_KEY:
            self._watermark.hear(decode_clocks(record.value))
            self.watermark_ms = self._watermark.reach() or NEVER
            return
        signal = decode(record.value)
        if key_of(signal) != key:
            raise BadEvent("signal", "other_key")
        self._rules.tally.signals += 1
        state = self.groups.get(key)
        try:
            applied = self._rules.keeper.apply(signal, state, self.watermark_ms)
        except FOREIGN:
            if state is None:
                raise
            self._rules.tally.malformed += 1
            applied = self._rules.keeper.apply(signal, None, self.watermark_ms)
        self._keep(key, state, applied, changes)

    def _close(self, key: bytes, changes: Changes) -> None:
        state = self.groups.get(key)
        if state is None:
            return
        try:
            applied = self._rules.keeper.close(parse_key(key), state, self.watermark_ms)
        except FOREIGN:
            self._rules.tally.malformed += 1
            applied = Applied(None)
        self._keep(key, state, applied, changes)

    def _keep(self, key: bytes, state: bytes | None, applied: Applied, changes: Changes) -> None:
        """Stage what became of a group, and collect what it tells others."""
        if applied.state is not state:
            is_large = applied.state is not None and len(applied.state) > STATE_BYTES_MAX
            if is_large:
                self._large[parse_key(key).rule] += 1
                applied = applied._replace(state=None, due_ms=None)
            self.groups.put(key, applied.state)
        self._wait_for(key, applied.due_ms)
        for alert in applied.alerts:
            changes.alerts.append(self._to_out(alert))
        for signal in applied.signals:
            changes.signals.append(OutSignal(key_of(signal), encode(signal)))

    def _to_out(self, found: StatefulAlert) -> OutAlert:
        late_ms = found.recorded_ms - found.occurred_ms
        runbook = fill_runbook(found.runbook, found._asdict())
        alert = found.to_alert(runbook, historical=late_ms > self._terms.historical_ms_min)
        update: dict[str, object] = {"rule_set": self._rules.version}
        if is_run_tenant(found.tenant):
            update |= {"tenant": CANARY_TENANT, "canary": True}
        return _written(alert.model_copy(update=update))

    def _wait_for(self, key: bytes, due_ms: int | None) -> None:
        """Note from when on a group has something to decide."""
        if due_ms is None:
            self._due_ms.pop(key, None)
        elif self._due_ms.get(key) != due_ms:
            self._due_ms[key] = due_ms
            heapq.heappush(self._due, (due_ms, key))
            if len(self._due) > 2 * len(self._due_ms) + DUE_STALE_MAX:
                self._due = [(due_ms, key) for key, due_ms in self._due_ms.items()]
                heapq.heapify(self._due)

    def _ripe(self, count_max: int) -> list[bytes]:
        """Return the groups whose time has come, each once; what they still wait for comes next."""
        ripe: list[bytes] = []
        while self._due and self._due[0][0] <= self.watermark_ms and len(ripe) < count_max:
            due_ms, key = heapq.heappop(self._due)
            if self._due_ms.get(key) == due_ms:
                del self._due_ms[key]
                ripe.append(key)
        return ripe

    def _sweep(self) -> None:
        """Look at a few groups for what can no longer matter; all of them again and again."""
        found = self.groups.sweep(SWEEP_SLICE)
        if not found and self._monotonic() - self._swept_at > SWEEP_PERIOD_S:
            self._swept_at = self._monotonic()
            self.groups.begin_sweep()
        for key, state in found:
            try:
                expires_ms = self._rules.keeper.expires_ms(parse_key(key), state)
            except FOREIGN:
                expires_ms = NEVER
            if expires_ms is not None and expires_ms <= self.watermark_ms:
                self.groups.put(key, None)
                self._due_ms.pop(key, None)
                self._rules.tally.expired += 1

    def _shed(self, recorded_ms: int, changes: Changes) -> None:
        """Give up groups that are too many, and say so once an hour and rule."""
        lost = Counter({rule_id.encode(): count for rule_id, count in self._large.items()})
        self._large.clear()
        lost += self.groups.shed(lambda key: self._due_ms.pop(key, None))
        for rule, count in lost.items():
            name = rule.decode("utf-8", "replace")
            self._rules.tally.shed[name] += count
            changes.alerts.append(_written(overflow_alert(name, recorded_ms)))


def overflow_alert(rule: str, recorded_ms: int) -> Alert:
    """Say that a rule has more groups than there is room for; the same all hour long."""
    group, hour = f"rule={rule}", recorded_ms // HOUR_MS
    at = to_rfc3339(recorded_ms)
    return Alert(
        alert_id=alert_id(OVERFLOW_RULE, 1, group, f"window:{hour}"),
        rule_id=OVERFLOW_RULE,
        rule_version=1,
        title="A rule with a memory has more than there is room for",
        severity="high",
        tenant=DEFAULT_TENANT,
        group=group,
        summary=(
            f"The rule {rule} has the most groups, or one too large: those not touched for longest"
            " and the large are forgotten, and what they would have found is not found."
        ),
        runbook=(
            "Look whether somebody floods it with made-up users, addresses or resources.\n"
            "If not, group by something with fewer values, or raise AUDIT_PIPELINE_GROUPS_MAX."
        ),
        occurred=at,
        recorded=at,
    )


def _written(alert: Alert) -> OutAlert:
    return OutAlert(alert.alert_id.encode(), alert.model_dump_json().encode())
