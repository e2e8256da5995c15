"""The keeper by worked examples: windows, lateness, repeats, bounds, and what an alert tells."""

from typing import Any

import orjson
import pytest

from detections.sigma.ruleset import BoolOp, SlotRef
from detections.stateful.keeper import Applied, Keeper
from detections.stateful.memory import Terms
from schemas.alert import alert_id
from schemas.errors import Broken
from schemas.signal import Signal, key_of, parse_key
from tests.property.stateful_history import behaviour, correlation, ruleset

MINUTE = 60_000
HOUR = 3_600_000
DAY = 86_400_000
T = 1_700_000_000_000 - 1_700_000_000_000 % DAY  # a midnight
TERMS = Terms()


def _signal(
    *entries: tuple[int, int, Any],
    rule: str = "rule",
    group: tuple[str, ...] = ("jane",),
    tenant: str = "default",
    partition: int = 0,
    lag_ms: int = 20,
) -> Signal:
    """Make a signal of (offset, time, value); an entry's slot is 0."""
    made = [
        (
            offset,
            at,
            at + lag_ms,
            0,
            value,
            (f"e{offset}", "jane", "a.b", "portal", "192.0.2.1", "s1"),
        )
        for offset, at, value in entries
    ]
    return Signal(rule, 1, tenant, group, "abc", partition, made)


def _apply(keeper: Keeper, *signals: Signal, watermark_ms: int = 0) -> list[Any]:
    """Apply signals one after the other, each to the state of its key; return all alerts."""
    states: dict[bytes, bytes | None] = {}
    alerts: list[Any] = []
    for signal in signals:
        applied = keeper.apply(signal, states.get(key_of(signal)), watermark_ms)
        states[key_of(signal)] = applied.state
        alerts += applied.alerts
    return alerts


def _count(span_ms: int = 5 * MINUTE, threshold: float = 3.0, **given: Any) -> Keeper:
    plan = correlation("event_count", timespan_ms=span_ms, threshold=threshold, **given)
    return Keeper(ruleset(plan))


def test_alert_never_shows_a_secret_that_a_group_holds() -> None:
    token = "ghp_" + "a1B2" * 9
    for name in ("user", "resource", "ip_address", "session_id"):
        keeper = _count(group_by=(name,))
        entries = [(n, T, None) for n in range(3)]
        (alert,) = _apply(keeper, _signal(*entries, group=(token,)))
        assert token not in repr(alert)


def test_alert_shows_a_name_as_the_event_writes_it() -> None:
    signal = _signal(*[(n, T, None) for n in range(3)])
    entries = [(*entry[:5], ("e", "Jane", *entry[5][2:])) for entry in signal.entries]
    (alert,) = _apply(_count(), signal._replace(entries=entries))
    assert (alert.user, alert.group) == ("Jane", "user=jane")


def test_every_bucket_that_one_signal_crosses_is_an_alert() -> None:
    entries = [(n, T + n * 10 * MINUTE, None) for n in range(1_000)]
    alerts = _apply(_count(threshold=1.0), _signal(*entries))
    assert len({alert.alert_id for alert in alerts}) == 1_000


def test_window_includes_both_ends() -> None:
    whole = _signal((0, T, None), (1, T + 1, None), (2, T + 5 * MINUTE, None))
    beyond = _signal((0, T, None), (1, T + 1, None), (2, T + 5 * MINUTE + 1, None))
    assert len(_apply(_count(), whole)) == 1
    assert _apply(_count(), beyond) == []


def test_window_reaches_over_the_edge_of_a_bucket() -> None:
    edge = T + 5 * MINUTE
    around = _signal((0, edge - 2, None), (1, edge - 1, None), (2, edge, None))
    (alert,) = _apply(_count(), around)
    assert alert.alert_id == alert_id("rule", 1, "user=jane", f"window:{edge // (5 * MINUTE)}")


def test_late_event_within_the_grace_completes_a_window_of_the_past() -> None:
    late = _signal((3, T + 2, None), lag_ms=TERMS.grace_ms)
    early = _signal((0, T, None), (1, T + 1, None), (2, T + 10 * MINUTE, None))
    assert len(_apply(_count(), early, late)) == 1


def test_watermark_leaves_what_a_late_event_can_still_reach() -> None:
    keeper = _count()
    early = keeper.apply(_signal((0, T, None), (1, T + 1, None)), None)
    passed_ms = T + 5 * MINUTE + TERMS.grace_ms
    later = keeper.apply(_signal((2, passed_ms, None)), early.state, passed_ms)
    late = _signal((3, T + 5 * MINUTE, None), lag_ms=TERMS.grace_ms)
    assert len(keeper.apply(late, later.state, passed_ms).alerts) == 1


def test_earlier_sight_of_a_known_value_can_complete_a_window() -> None:
    plan = correlation("value_count", timespan_ms=100, threshold=2.0)
    keeper = Keeper(ruleset(plan))
    first = keeper.apply(_signal((0, 950, "u"), (1, 1_090, "v")), None)
    assert first.alerts == ()
    assert len(keeper.apply(_signal((2, 1_010, "v")), first.state).alerts) == 1


def test_flood_of_values_leaves_the_latest_for_the_next_window() -> None:
    plan = correlation("value_count", timespan_ms=100, threshold=2.0)
    flood = [(0, 1_000, "a"), (1, 1_010, "b"), (2, 1_095, "c"), (3, 1_190, "d")]
    alerts = _apply(Keeper(ruleset(plan)), _signal(*flood))
    assert len(alerts) == 2


@pytest.mark.parametrize(("apart_ms", "count"), [(100, 1), (101, 0)])
def test_chain_may_take_the_whole_span_and_no_more(apart_ms: int, count: int) -> None:
    plan = correlation("temporal_ordered", rules=(0, 1), threshold=2.0)
    who = ("e", "", "", "", "", "")
    entries = [(0, 1_050, 1_050, 0, None, who), (1, 1_050 + apart_ms, 1_200, 1, None, who)]
    applied = Keeper(ruleset(plan)).apply(Signal("rule", 1, "t", ("j",), "abc", 0, entries), None)
    assert len(applied.alerts) == count


def test_window_that_was_judged_is_not_judged_again() -> None:
    keeper = Keeper(ruleset(correlation("event_count", operator="lt", threshold=3.0)))
    signal = _signal((0, 1_000, None))
    first = keeper.apply(signal, None)
    assert first.state is not None
    judged = keeper.close(parse_key(key_of(signal)), first.state, T)
    assert len(judged.alerts) == 1
    again = keeper.apply(_signal((1, 1_001, None)), judged.state)  # no watermark after a restart
    assert again.due_ms is None
    assert keeper.tally["missed"] == 1


def test_absence_that_was_decided_is_not_decided_again() -> None:
    tree = BoolOp("and", (SlotRef(0), BoolOp("not", (SlotRef(1),))))
    keeper = Keeper(ruleset(correlation("temporal", rules=(0, 1), condition=tree)))
    signal = _signal((0, 1_000, None))
    first = keeper.apply(signal, None)
    assert first.state is not None
    decided = keeper.close(parse_key(key_of(signal)), first.state, T)
    again = keeper.apply(_signal((1, 1_150, None)), decided.state)  # no watermark after a restart
    assert again.due_ms is None
    assert keeper.tally["missed"] == 1


def test_late_beyond_the_grace_is_counted_apart() -> None:
    keeper = _count(threshold=1.0)
    assert _apply(keeper, _signal((0, T, None), lag_ms=TERMS.grace_ms + 1)) == []
    assert keeper.tally == {"late": 1, "taken": 0}


def test_event_of_the_future_is_counted_apart() -> None:
    keeper = _count(threshold=1.0)
    assert _apply(keeper, _signal((0, T, None), lag_ms=-TERMS.future_ms - 1)) == []
    assert keeper.tally == {"future": 1, "taken": 0}


def test_repeat_counts_once_and_leaves_the_state_as_it_is() -> None:
    keeper = _count()
    signal = _signal((4, T, None), (5, T + 1, None))
    first = keeper.apply(signal, None)
    again = keeper.apply(signal, first.state)
    assert again.state is first.state
    assert keeper.tally["repeat"] == 2


def test_two_entries_of_one_event_both_count() -> None:
    who = ("e", "", "", "", "", "")
    entries = [(4, T, T, slot, None, who) for slot in (0, 1)]
    plan = correlation("temporal", rules=(0, 1), threshold=2.0)
    applied = Keeper(ruleset(plan)).apply(Signal("rule", 1, "t", ("j",), "abc", 0, entries), None)
    assert len(applied.alerts) == 1


def test_offsets_of_another_life_of_the_topic_are_no_repeats() -> None:
    keeper = _count()
    first = keeper.apply(_signal((4, T, None), (5, T + 1, None)), None)
    other = _signal((0, T + 2, None))._replace(incarnation="def")
    assert len(keeper.apply(other, first.state).alerts) == 1


def test_tenants_never_share_a_group_nor_an_alert() -> None:
    entries = ((0, T, None), (1, T, None), (2, T, None))
    alerts = _apply(_count(), _signal(*entries), _signal(*entries, tenant="acme"))
    assert [alert.group for alert in alerts] == ["user=jane", "tenant=acme user=jane"]
    assert len({alert.alert_id for alert in alerts}) == 2


def test_value_that_looks_like_two_does_not_share_an_alert_with_two() -> None:
    plan = correlation("event_count", threshold=1.0, group_by=("user", "ip_address"))
    one = _signal((0, T, None), group=("a ip_address=b", "c"))
    other = _signal((0, T, None), group=("a", "b ip_address=c"))
    alerts = _apply(Keeper(ruleset(plan)), one, other)
    assert len({alert.alert_id for alert in alerts}) == 2


def test_alert_tells_who_and_what() -> None:
    plan = correlation(
        "event_count",
        threshold=2.0,
        timespan_ms=5 * MINUTE,
        title="Guesses\u202e a password",
        summary="{count} failures of {user} from {ip_address} {nothing} within {span}.",
        tags=("attack.t1110",),
        runbook="audit search user={user}",
    )
    (alert,) = _apply(Keeper(ruleset(plan)), _signal((0, T, None), (1, T + 1, None)))
    assert alert.summary == "2 failures of jane from 192.0.2.1 within 5 minutes."
    assert alert.title == "Guesses a password"
    sent = alert.to_alert("audit search user=jane")
    assert sent.event_ids == ("e0", "e1")
    assert sent.event_count == 2
    assert sent.occurred == "2023-11-14T00:00:00.001Z"
    assert sent.recorded == "2023-11-14T00:00:00.021Z"
    assert sent.tags == ("attack.t1110",)
    assert sent.runbook == "audit search user=jane"


def test_summary_hides_secrets_and_what_cannot_be_seen() -> None:
    group = ("ghp_" + "a1B2" * 9 + "\u200b\x1b[31m",)
    (alert,) = _apply(_count(threshold=1.0), _signal((0, T, None), group=group))
    assert "a1B2a1B2" not in alert.summary
    assert "a1B2a1B2" not in alert.group
    assert alert.summary.isprintable()
    assert alert.group.isprintable()


def test_signal_of_a_rule_that_is_not_loaded_changes_nothing() -> None:
    keeper = _count()
    for signal in (_signal((0, T, None), rule="other"), _signal((0, T, None))._replace(version=2)):
        assert keeper.apply(signal, b"kept") == Applied(b"kept")
    assert keeper.tally["unknown"] == 2
    assert keeper.serves("rule", 1)
    assert not keeper.serves("rule", 2)
    assert keeper.expires_ms(parse_key(b"rule\x1f2\x1ft"), b"kept") == 0
    assert keeper.due_ms(parse_key(b"rule\x1f2\x1ft"), b"kept") is None
    assert keeper.close(parse_key(b"rule\x1f2\x1ft"), b"kept", T) == Applied(b"kept")


@pytest.mark.parametrize("state", [b"", b"{}", b"[]", b"[2,{},[],[]]"])
def test_state_that_is_not_ours_is_refused(state: bytes) -> None:
    with pytest.raises(Broken):
        _count().apply(_signal((0, T, None)), state)


def test_state_expires_once_no_event_can_touch_it() -> None:
    keeper = _count()
    applied = keeper.apply(_signal((0, T, None)), None)
    assert applied.expires_ms == T + 5 * MINUTE + TERMS.grace_ms + TERMS.slack_ms
    assert applied.due_ms is None


def test_state_is_forgotten_with_the_watermark() -> None:
    keeper = _count()
    first = keeper.apply(_signal((0, T, None)), None)
    much_later = T + 2 * DAY
    second = keeper.apply(_signal((1, much_later, None)), first.state, much_later)
    assert second.state is not None
    assert orjson.loads(second.state)[3] == [[much_later], ["e1"]]


def test_flood_of_one_group_keeps_little() -> None:
    keeper = _count(span_ms=HOUR, threshold=10.0)
    state = None
    ids = set()
    for start in range(0, 20_000, 500):
        entries = [(start + i, T + (start + i) * 100, None) for i in range(500)]
        applied = keeper.apply(_signal(*entries), state)
        state = applied.state
        ids |= {alert.alert_id for alert in applied.alerts}
    assert len(ids) == 1
    assert state is not None
    assert len(state) < 1_000


def test_flood_without_a_watermark_is_bounded_and_counted() -> None:
    keeper = Keeper(ruleset(correlation("value_sum", timespan_ms=DAY, threshold=1e12)))
    entries = [(i, T + i, 1) for i in range(2_500)]
    applied = keeper.apply(_signal(*entries), None)
    assert keeper.tally["thinned"] == 500
    assert applied.state is not None
    assert len(applied.state) < 100_000


def test_absence_waits_for_the_watermark() -> None:
    tree = BoolOp("and", (SlotRef(0), BoolOp("not", (SlotRef(1),))))
    plan = correlation("temporal", rules=(0, 1), condition=tree, timespan_ms=HOUR)
    keeper = Keeper(ruleset(plan))
    signal = _signal((0, T, None))
    applied = keeper.apply(signal, None, T)
    assert applied.alerts == ()
    assert applied.due_ms == T + HOUR + TERMS.grace_ms
    assert applied.state is not None
    key = parse_key(key_of(signal))
    assert keeper.close(key, applied.state, applied.due_ms - 1).alerts == ()
    closed = keeper.close(key, applied.state, applied.due_ms)
    assert len(closed.alerts) == 1


def test_silent_correlation_alerts_only_through_the_one_it_feeds() -> None:
    first = correlation("event_count", name="first", threshold=1.0, is_silent=True)
    second = correlation("event_count", rules=("first",), threshold=1.0, timespan_ms=HOUR)
    keeper = Keeper(ruleset(first, second))
    applied = keeper.apply(_signal((0, T, None), rule="first"), None)
    assert applied.alerts == ()
    (signal,) = applied.signals
    assert [alert.rule_id for alert in keeper.apply(signal, None).alerts] == ["rule"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param({"kind": "event_count", "threshold": 0.0}, "from 1", id="count of none"),
        pytest.param({"kind": "event_count", "threshold": 1e9}, "10000", id="count too large"),
        pytest.param({"kind": "value_sum", "threshold": 0.0}, "above 0", id="sum of none"),
        pytest.param({"kind": "value_avg", "fields": ()}, "needs a field", id="no field"),
        pytest.param(
            {"kind": "temporal", "condition": BoolOp("not", (SlotRef(0),))},
            "no rule",
            id="only not",
        ),
        pytest.param(
            {
                "kind": "temporal_ordered",
                "rules": (0, 1),
                "condition": BoolOp("or", (SlotRef(0), SlotRef(1))),
            },
            "a and b",
            id="ordered or",
        ),
        pytest.param({"kind": "temporal", "operator": "lt"}, "all rules", id="fewer rules"),
    ],
)
def test_plan_that_no_state_could_serve_is_refused(given: dict[str, Any], reason: str) -> None:
    keeper = Keeper(ruleset(correlation(given.pop("kind"), **given)))
    assert reason in keeper.refused["rule"]


def test_chain_that_lacks_a_group_is_refused() -> None:
    first = correlation("event_count", name="first", group_by=("ip_address",))
    second = correlation("event_count", rules=("first",))
    assert "ip_address" not in Keeper(ruleset(first, second)).refused["rule"]
    assert "'user'" in Keeper(ruleset(first, second)).refused["rule"]


def test_chain_that_waits_for_a_window_is_refused() -> None:
    first = correlation("event_count", name="first")
    second = correlation("event_count", rules=("first",), operator="lt")
    assert "count up" in Keeper(ruleset(first, second)).refused["rule"]


def test_first_seen_says_the_value_and_how_many_were_known() -> None:
    plan = behaviour("first_seen", summary="")
    signals = [
        _signal((0, T, "DE")),
        _signal((1, T + 14 * DAY, "DE")),
        _signal((2, T + 15 * DAY, "FR")),
    ]
    (alert,) = _apply(Keeper(ruleset(plan)), *signals, watermark_ms=T + 99 * DAY)
    assert alert.group == "user=jane country=FR"
    assert alert.alert_id == alert_id("rule", 1, "user=jane country=FR", f"window:{T // DAY + 15}")


def test_impossible_travel_says_from_where_to_where() -> None:
    plan = behaviour("impossible_travel")
    signal = _signal((0, T, "DE"), (1, T + HOUR, "AU"))
    (alert,) = _apply(Keeper(ruleset(plan)), signal)
    assert alert.summary.startswith("user=jane was in DE and in AU, 12,")
    assert alert.summary.endswith("km apart, within 70 minutes.")
    assert alert.event_ids == ("e0", "e1")


@pytest.mark.parametrize(
    ("countries", "minutes"),
    [
        pytest.param(("DE", "FR"), 1, id="neighbours"),
        pytest.param(("DE", "AU"), 13 * 60, id="time to fly"),
        pytest.param(("DE", "ZZ"), 1, id="a country that is none"),
    ],
)
def test_possible_travel_is_no_alert(countries: tuple[str, str], minutes: int) -> None:
    signal = _signal((0, T, countries[0]), (1, T + minutes * MINUTE, countries[1]))
    assert _apply(Keeper(ruleset(behaviour("impossible_travel"))), signal) == []


def test_rate_needs_a_baseline_and_then_finds_a_burst() -> None:
    plan = behaviour("rate", count_min=5)
    keeper = Keeper(ruleset(plan))
    weeks = [T + week * 7 * DAY + 9 * HOUR for week in range(4)]
    usual = [(week * 10 + i, at + i, None) for week, at in enumerate(weeks[:3]) for i in range(4)]
    burst = [(100 + i, weeks[3] + i, None) for i in range(60)]
    learned = keeper.apply(_signal(*usual), None)
    (alert,) = keeper.apply(_signal(*burst), learned.state, weeks[3]).alerts
    assert alert.alert_id == alert_id("rule", 1, "user=jane", f"window:{weeks[3] // HOUR}")
    assert _apply(keeper, _signal(*burst), watermark_ms=weeks[3]) == []


def test_risk_lists_what_it_is_made_of() -> None:
    plan = behaviour("risk", line=60.0)
    signal = _signal((0, T, [25, "guess"]), (1, T + 1, [25, "guess"]), (2, T + 2, [20, "grant"]))
    (alert,) = _apply(Keeper(ruleset(plan)), signal)
    assert alert.summary == "Risk of user=jane has come to 70: guess x2 (50), grant x1 (20)."


def test_one_noisy_rule_alone_does_not_cross_the_line() -> None:
    plan = behaviour("risk", line=100.0, rule_max=60.0)
    noisy = [(i, T + i, [25, "guess"]) for i in range(50)]
    assert _apply(Keeper(ruleset(plan)), _signal(*noisy)) == []


def test_silence_closes_by_the_watermark() -> None:
    plan = behaviour("silent_source", group=("source",), learning=0, silence=10 * MINUTE)
    keeper = Keeper(ruleset(plan))
    beats = [(i, T + i * MINUTE, None) for i in range(30)]
    signal = _signal(*beats, group=("billing",), lag_ms=0)
    applied = keeper.apply(signal, None, T + 30 * MINUTE)
    assert applied.alerts == ()
    assert applied.due_ms == T + 40 * MINUTE
    assert applied.state is not None
    (alert,) = keeper.close(parse_key(key_of(signal)), applied.state, T + 40 * MINUTE).alerts
    assert alert.summary.startswith("source=billing has been silent for more than 10 minutes")
    assert alert.user == ""
