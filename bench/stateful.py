"""Stage 2 without Kafka: entries a second by type of rule, bytes a group, memory of many groups.

Each entry comes alone in its signal, the dearest case; "bytes in, state and alerts out".
"""

import time
from collections.abc import Callable, Sequence
from os import getpid
from typing import Any, Final

from bench.broker import say
from bench.measure import usage
from bench.report import Row, Table
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile, RuleSet
from detections.stateful.keeper import Keeper
from schemas.signal import Signal, Value, decode, encode, key_of

BEGIN_MS: Final = 1_700_000_000_000
STEP_MS: Final = 50  # between two entries: 20 a second
LAG_MS: Final = 20
WATERMARK_LAG_MS: Final = 2_000
GROUPS: Final = 2_000

_HEAD: Final = (
    "logsource: {product: dutycall}\nlevel: low\n"
    "detection: {s: {action: a.b}, condition: s}\nid: 00000000-0000-4000-8000-00000000000"
)
_BASES: Final = "".join(f"title: R{n}\nname: r{n}\n{_HEAD}{n}\n---\n" for n in range(3))
_COUNTRIES: Final = ("DE", "FR", "AT")


def _correlation(kind: str, rules: str, condition: str) -> str:
    return (
        f"{_BASES}title: C\nname: rule\nid: 00000000-0000-4000-8000-000000000009\nlevel: low\n"
        f"correlation: {{type: {kind}, rules: [{rules}], group-by: [user], timespan: 10m,"
        f" condition: {condition}}}\n"
    )


def _behaviour(text: str) -> str:
    return f"title: B\nname: rule\n{_HEAD}8\nbehaviour: {{type: {text}}}\n"


# name, rules, value of the n-th entry
CASES: Final[Sequence[tuple[str, str, Callable[[int], Any]]]] = (
    ("event_count", _correlation("event_count", "r0", "{gte: 20}"), lambda _n: None),
    (
        "value_count",
        _correlation("value_count", "r0", "{field: resource, gte: 20}"),
        lambda n: f"resource-{n % 50}",
    ),
    ("temporal", _correlation("temporal", "r0, r1, r2", "{gte: 3}"), lambda _n: None),
    (
        "temporal_ordered",
        _correlation("temporal_ordered", "r0, r1, r2", "{gte: 3}"),
        lambda _n: None,
    ),
    ("temporal, not", _correlation("temporal", "r0, r1", '"r0 and not r1"'), lambda _n: None),
    (
        "value_sum",
        _correlation("value_sum", "r0", "{field: details.rows, gte: 1000000}"),
        lambda n: n % 100,
    ),
    (
        "value_avg",
        _correlation("value_avg", "r0", "{field: details.rows, gte: 1000}"),
        lambda n: n % 100,
    ),
    ("first_seen", _behaviour("first_seen, value: country"), lambda n: _COUNTRIES[n % 3]),
    ("impossible_travel", _behaviour("impossible_travel"), lambda n: _COUNTRIES[n % 3]),
    ("rate", _behaviour("rate"), lambda _n: None),
    ("dormant", _behaviour("dormant"), lambda _n: None),
    ("silent_source", _behaviour("silent_source, group: [user]"), lambda _n: None),
    ("risk", _behaviour("risk, line: 1000"), lambda n: [10, f"rule-{n % 7}"]),
)


def _load(text: str) -> RuleSet:
    ruleset = load_rules([RuleFile("bench.yml", text)])
    assert not ruleset.refusals, ruleset.refusals
    return ruleset


def _signal(number: int, group: int, value: Value, slots: int) -> Signal:
    user, at = f"user{group}@example.com", BEGIN_MS + number * STEP_MS
    who = (f"{number:032x}", user, "authentication.login.failure", "portal", "203.0.113.4", "s-1")
    entry = (number, at, at + LAG_MS, number // GROUPS % slots, value, who)
    return Signal("rule", 1, "default", (user,), "mXvG0bqmS5e4fXk6yBHzVA", 3, [entry])


def _case(name: str, text: str, value_of: Callable[[int], Any], count: int) -> Row:
    ruleset = _load(text)
    keeper = Keeper(ruleset)
    assert not keeper.refused, keeper.refused
    slots = max((len(plan.rules) for plan in ruleset.correlations), default=1)
    raws = [encode(_signal(n, n * 7_919 % GROUPS, value_of(n), slots)) for n in range(count)]
    states: dict[bytes, bytes] = {}
    alerts = 0
    begun = time.process_time()
    for number, raw in enumerate(raws):
        signal = decode(raw)
        key = key_of(signal)
        watermark_ms = BEGIN_MS + number * STEP_MS - WATERMARK_LAG_MS
        applied = keeper.apply(signal, states.get(key), watermark_ms)
        alerts += len(applied.alerts)
        if applied.state is None:
            states.pop(key, None)
        else:
            states[key] = applied.state
    took_s = time.process_time() - begun
    bytes_a_group = sum(map(len, states.values())) / max(1, len(states))
    return {
        "type": name,
        "entries/s": round(count / took_s),
        "µs an entry": round(took_s / count * 1e6, 1),
        "bytes a group": round(bytes_a_group),
        "entries a group": round(count / GROUPS),
        "alerts": alerts,
    }


def _groups_mib(groups: int) -> tuple[float, float]:
    """Return what a dictionary of so many groups of two events takes, and bytes a group."""
    keeper = Keeper(_load(CASES[0][1]))
    before = usage(getpid()).rss_mib
    states: dict[bytes, bytes | None] = {}
    for group in range(groups):
        first = _signal(group, group, None, 1)
        state = keeper.apply(first, None).state
        second = _signal(group + groups, group, None, 1)
        states[key_of(first)] = keeper.apply(second, state).state
    size = sum(len(state or b"") for state in states.values()) / groups
    return usage(getpid()).rss_mib - before, size


def run(*, count: int, groups: int) -> Table:
    """Measure each type over `count` entries, and the memory of `groups` groups."""
    rows = []
    for name, text, value_of in CASES:
        say(f"stateful: {name}")
        rows.append(_case(name, text, value_of, count))
    say(f"stateful: {groups:,} groups")
    mib, size = _groups_mib(groups)
    memory = f"{mib:,.0f} MiB ({size:.0f} bytes of state a group)"
    notes = [
        f"{groups:,} groups of event_count, two events each, in a dictionary: {memory}.",
        "CPU time of one process: from the bytes of a signal with one entry to state and alerts.",
    ]
    title = f"Rules with a memory, {count:,} entries over {GROUPS:,} groups each"
    return Table("stateful", title, rows, notes, facts={"groups": groups, "groups MiB": mib})
