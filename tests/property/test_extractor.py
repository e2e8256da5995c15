"""Laws of stage 1's side: what it leaves out, and how runs are cut or repeated, changes nothing."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detections.rule import Derived
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile, RuleSet
from detections.stateful.extractor import Extractor, Origin
from detections.stateful.keeper import Keeper
from schemas.signal import key_of, parse_key

DAY = 86_400_000
MINUTE = 60_000
END_MS = 2**50

_HEAD = "logsource: {product: dutycall}\ndetection: {s: {action: a.b}, condition: s}\nlevel: low\n"
RULES = f"""
title: New country
id: 00000000-0000-4000-8000-000000000001
name: new-country
{_HEAD}
behaviour: {{type: first_seen, value: country, learning: 1d, expiry: 3d}}
---
title: Wakes
id: 00000000-0000-4000-8000-000000000002
name: wakes
{_HEAD}
behaviour: {{type: dormant, asleep: 2d, forget: 30d}}
---
title: Silent
id: 00000000-0000-4000-8000-000000000003
name: silent
{_HEAD}
behaviour: {{type: silent_source, silence: 10m, factor: 1, learning: 0d}}
---
title: Travels
id: 00000000-0000-4000-8000-000000000004
name: travels
{_HEAD}
behaviour: {{type: impossible_travel}}
"""

DERIVED = Derived(
    occurred="",
    category="authentication",
    verb="",
    result="",
    role="",
    department="",
    user_status="",
    country="",
    asn=0,
    as_name="",
    client="",
    data_class="",
    is_protected=False,
    has_changes=False,
)


def _rules() -> RuleSet:
    ruleset = load_rules([RuleFile("rules.yml", RULES)])
    assert ruleset.refusals == ()
    assert len(ruleset.behaviours) == 4
    return ruleset


RULESET = _rules()

# partition, minutes since the one before in it, country
_EVENTS = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from([0, 1, 5, 30, 700, 3_000]), st.sampled_from(["DE", "JP"])
    ),
    max_size=30,
)


class Worker:
    """Stage 1 and stage 2 by hand; a killed worker has forgotten what it sent."""

    def __init__(self, *, is_forgetful: bool) -> None:
        self.is_forgetful = is_forgetful
        self.extractor = Extractor(RULESET)
        self.keeper = Keeper(RULESET)
        self.states: dict[bytes, bytes] = {}
        self.ids: set[str] = set()
        self.sent = 0

    def run(self, events: list[tuple[int, int, int, str]], watermark_ms: int) -> None:
        for partition, offset, at_ms, country in events:
            if self.is_forgetful:
                self.extractor = Extractor(RULESET)
            who = (f"{partition}-{offset}", "jane", "a.b", "", "", "")
            origin = Origin("default", "abc", partition, offset, at_ms, at_ms, who)
            fields: dict[str, Any] = {"user": "jane", "action": "a.b", "source": "portal"}
            hits = range(len(RULESET.rules))
            self.extractor.take(hits, (), fields, DERIVED._replace(country=country), origin)
            if self.is_forgetful:
                self.bring(watermark_ms)
        self.bring(watermark_ms)

    def bring(self, watermark_ms: int) -> None:
        for signal in self.extractor.drain():
            self.sent += len(signal.entries)
            key = key_of(signal)
            applied = self.keeper.apply(signal, self.states.get(key), watermark_ms)
            self.keep(key, applied)

    def close(self, watermark_ms: int) -> None:
        for key, state in list(self.states.items()):
            self.keep(key, self.keeper.close(parse_key(key), state, watermark_ms))

    def keep(self, key: bytes, applied: Any) -> None:
        self.ids |= {alert.alert_id for alert in applied.alerts}
        self.states.pop(key, None)
        if applied.state is not None:
            self.states[key] = applied.state


@settings(max_examples=150, deadline=None)
@given(_EVENTS, st.randoms(use_true_random=False))
def test_what_stage_1_leaves_out_changes_no_alert(
    drawn: list[tuple[int, int, str]], chance: Any
) -> None:
    queues: dict[int, list[tuple[int, int, int, str]]] = {0: [], 1: []}
    now = {0: DAY * 100, 1: DAY * 100 + 7_000}
    for partition, minutes, country in drawn:
        now[partition] += minutes * MINUTE
        queue = queues[partition]
        queue.append((partition, len(queue), now[partition], country))
    whole = Worker(is_forgetful=True)
    for queue in queues.values():
        whole.run(queue, 0)
    whole.close(END_MS)

    worker = Worker(is_forgetful=False)
    done = {0: 0, 1: 0}
    while any(done[p] < len(queues[p]) for p in queues):
        partition = chance.choice([p for p in queues if done[p] < len(queues[p])])
        queue = queues[partition]
        first = max(0, done[partition] - chance.choice([0, 0, 3]))
        after = min(len(queue), done[partition] + chance.randint(1, 8))
        if chance.random() < 0.2:  # a run that was never sent is read again
            worker.extractor.drain()
            for item in queue[first:after]:
                _take_only(worker.extractor, item)
            worker.extractor.drain()
        watermark_ms = min(q[done[p]][2] for p, q in queues.items() if done[p] < len(q))
        worker.run(queue[first:after], watermark_ms)
        worker.close(watermark_ms)
        done[partition] = after
    worker.close(END_MS)
    assert worker.ids == whole.ids
    assert worker.sent <= whole.sent or len(drawn) < 1 or worker.keeper.tally["repeat"] > 0


def _take_only(extractor: Extractor, item: tuple[int, int, int, str]) -> None:
    partition, offset, at_ms, country = item
    who = (f"{partition}-{offset}", "jane", "a.b", "", "", "")
    origin = Origin("default", "abc", partition, offset, at_ms, at_ms, who)
    fields: dict[str, Any] = {"user": "jane", "action": "a.b", "source": "portal"}
    hits = range(len(RULESET.rules))
    extractor.take(hits, (), fields, DERIVED._replace(country=country), origin)
