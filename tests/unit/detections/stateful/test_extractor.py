"""Stage 1's side by worked examples: what an event tells, and what it does not."""

from typing import Any

import pytest

from detections.rule import Derived, Finding
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile, RuleSet
from detections.stateful.adding import AMOUNT_MAX
from detections.stateful.extractor import ENTRIES_CUT, Extractor, Origin
from schemas.signal import Signal, decode, encode

T = 1_700_000_000_000
HEAD = (
    "logsource: {product: dutycall}\n"
    "detection: {s: {action: a.b}, condition: s}\n"
    "level: low\n"
    "id: 00000000-0000-4000-8000-00000000000"
)
BASE = f"title: Base\nname: base\n{HEAD}1\n---\n"
DERIVED = Derived(
    "", "access", "", "", "", "", "", "DE", 64500, "", "", "", is_protected=False, has_changes=False
)
COUNT = (
    "title: Many\nname: many\nid: 00000000-0000-4000-8000-000000000002\nlevel: low\n"
    "correlation: {type: %s, rules: [base], group-by: [%s], timespan: 5m, condition: {%s}}\n"
)


def _rules(text: str) -> RuleSet:
    ruleset = load_rules([RuleFile("rules.yml", text)])
    assert ruleset.refusals == ()
    return ruleset


def _correlation(kind: str, group: str, condition: str) -> Extractor:
    return Extractor(_rules(BASE + COUNT % (kind, group, condition)))


def _behaviour(behaviour: str) -> Extractor:
    return Extractor(_rules(f"title: B\nname: b\n{HEAD}3\nbehaviour: {behaviour}\n"))


def _take(
    extractor: Extractor,
    offset: int = 0,
    *,
    country: str = "DE",
    lag_ms: int = 0,
    findings: tuple[Finding, ...] = (),
    **fields: Any,
) -> None:
    who = (f"e{offset}", "jane", "a.b", "", "", "")
    origin = Origin("default", "abc", 0, offset, T, T + lag_ms, who)
    whole = {"user": "jane", "action": "a.b", **fields}
    extractor.take((0,), findings, whole, DERIVED._replace(country=country), origin)


def _entries(extractor: Extractor) -> list[tuple[tuple[str, ...], Any]]:
    return [(signal.group, entry[4]) for signal in extractor.drain() for entry in signal.entries]


def test_hits_of_one_group_are_one_signal() -> None:
    extractor = _correlation("event_count", "user", "gte: 3")
    for offset in range(3):
        _take(extractor, offset)
    (signal,) = extractor.drain()
    assert signal[:6] == ("many", 1, "default", ("jane",), "abc", 0)
    assert [entry[0] for entry in signal.entries] == [0, 1, 2]
    assert decode(encode(signal)).group == ("jane",)
    assert extractor.drain() == []


def test_event_that_lacks_a_value_of_the_group_is_not_counted() -> None:
    extractor = _correlation("event_count", "user, session_id", "gte: 3")
    _take(extractor)
    _take(extractor, session_id="")
    _take(extractor, session_id=None)
    assert extractor.drain() == []


def test_list_in_the_group_counts_for_each_member() -> None:
    extractor = _correlation("event_count", "details.to", "gte: 3")
    _take(extractor, details={"to": ["ann", "bob", "ann"]})
    assert _entries(extractor) == [(("ann",), None), (("bob",), None)]


def test_list_of_values_counts_each_once() -> None:
    extractor = _correlation("value_count", "user", "field: details.ids, gte: 3")
    _take(extractor, details={"ids": ["a", "b", "a", 5, True]})
    assert _entries(extractor) == [(("jane",), value) for value in ("a", "b", "5", "true")]


def test_values_of_several_fields_are_tuples() -> None:
    extractor = _correlation("value_count", "user", "field: [resource, source], gte: 3")
    _take(extractor, resource="r", source="s")
    _take(extractor, 1, resource="r")
    assert _entries(extractor) == [(("jane",), ["r", "s"])]


def test_numbers_are_read_from_texts_and_others_left_out() -> None:
    extractor = _correlation("value_sum", "user", "field: details.rows, gte: 3")
    _take(extractor, details={"rows": ["10", 5, "many", None, "nan", True]})
    assert _entries(extractor) == [(("jane",), 10.0), (("jane",), 5.0)]


def test_long_group_is_bounded() -> None:
    extractor = _correlation("event_count", "user", "gte: 3")
    _take(extractor, user="x" * 5_000)
    ((group, _),) = _entries(extractor)
    assert len(group[0]) == 256


TOKEN = "ghp_" + "a1B2" * 9
CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize("secret", [TOKEN, CARD, f"api_key={TOKEN}", f"{'x' * 245} {TOKEN}"])
@pytest.mark.parametrize("group", ["user", "resource", "details.to"])
def test_secret_in_a_group_or_value_leaves_stage_1_masked_and_distinct(
    group: str, secret: str
) -> None:
    extractor = _correlation("value_count", group, "field: details.key, gte: 3")
    given: dict[str, Any] = {
        "user": secret,
        "resource": secret,
        "details": {"to": [secret, "b"], "key": secret},
    }
    other = secret[:-1] + ("2" if secret is CARD else "c")
    _take(extractor, **given)
    _take(extractor, 1, **given | {"user": other, "resource": other, "details": {"to": other}})
    found = extractor.drain()
    assert secret not in repr(found)
    assert TOKEN not in repr(found)
    assert found


def test_two_secrets_are_two_groups() -> None:
    extractor = _correlation("event_count", "user", "gte: 3")
    for offset, end in enumerate(["c", "d", "c"]):
        _take(extractor, offset, user=TOKEN + end)
    assert [len(signal.entries) for signal in extractor.drain()] == [2, 1]


def test_name_is_one_group_however_it_is_written() -> None:
    extractor = _correlation("event_count", "user", "gte: 3")
    for offset, user in enumerate(
        ["jane@x.com", "JANE@X.com", " Jane@x.com", "\uff2aane@x.co\u200bm"]
    ):
        _take(extractor, offset, user=user)
    assert _entries(extractor) == [(("jane@x.com",), None)] * 4


def test_what_is_no_name_keeps_its_case() -> None:
    extractor = _correlation("event_count", "resource", "gte: 3")
    for offset, resource in enumerate(["Report", "report"]):
        _take(extractor, offset, resource=resource)
    assert _entries(extractor) == [(("Report",), None), (("report",), None)]


def test_name_that_is_counted_counts_once_however_it_is_written() -> None:
    extractor = _correlation("value_count", "source", "field: user, gte: 3")
    for offset, user in enumerate(["jane", "Jane"]):
        _take(extractor, offset, user=user, source="s")
    assert _entries(extractor) == [(("s",), "jane")] * 2


@pytest.mark.parametrize(
    ("lag_ms", "why"), [(15 * 60_000 + 1, "late"), (-5 * 60_000 - 1, "future")]
)
def test_event_at_the_wrong_time_tells_nothing_but_is_counted(lag_ms: int, why: str) -> None:
    extractor = _correlation("event_count", "user", "gte: 3")
    _take(extractor, lag_ms=lag_ms)
    assert extractor.drain() == []
    assert extractor.tally == {why: 1}


FOUND = Finding("r", 1, "high", "R", "", 40, (), "")
SPECIAL = "%saudit: {%s}\n"


def _special(audit: str) -> Extractor:
    count = COUNT % ("event_count", "user", "gte: 1")
    return Extractor(_rules(BASE + SPECIAL % (count, audit)))


@pytest.mark.parametrize("lag_ms", [0, 16 * 60_000, 25 * 3_600_000, 400 * 86_400_000, -600_000])
def test_plan_by_the_brokers_time_counts_an_event_whatever_time_it_bears(lag_ms: int) -> None:
    extractor = _special("clock: recorded")
    _take(extractor, lag_ms=lag_ms)
    ((entry,),) = [signal.entries for signal in extractor.drain()]
    assert entry[1] == entry[2] == T + lag_ms


def test_plan_of_findings_counts_only_events_in_which_something_was_found() -> None:
    extractor = _special("events: found")
    _take(extractor, 0)
    _take(extractor, 1, findings=(FOUND,))
    _take(extractor, 2, findings=(FOUND,), lag_ms=16 * 60_000)
    assert [[entry[0] for entry in signal.entries] for signal in extractor.drain()] == [[1]]


def test_plan_over_tenants_has_one_group_of_all() -> None:
    found = []
    for audit in ("tenants: all", "tenants: each"):
        extractor = _special(audit)
        for offset, tenant in enumerate(["acme", "default", "other"]):
            who = ("e", "jane", "a.b", "", "", "")
            origin = Origin(tenant, "abc", 0, offset, T, T, who)
            extractor.take((0,), (), {"user": "jane", "action": "a.b"}, DERIVED, origin)
        found.append([(signal.tenant, len(signal.entries)) for signal in extractor.drain()])
    assert found == [[("default", 3)], [("acme", 1), ("default", 1), ("other", 1)]]


@pytest.mark.parametrize("audit", ["clock: producer", "events: some", "tenants: [a]"])
def test_word_that_an_option_does_not_have_is_refused(audit: str) -> None:
    text = BASE + SPECIAL % (COUNT % ("event_count", "user", "gte: 1"), audit)
    (refusal,) = load_rules([RuleFile("rules.yml", text)]).refusals
    assert refusal.rule == "many"


@pytest.mark.parametrize("amount", ["1e999", "inf", "Infinity", "9" * 40, 10**30, float("inf")])
def test_amount_beyond_all_measure_counts_as_the_most(amount: object) -> None:
    extractor = _correlation("value_sum", "user", "field: details.rows, gte: 3")
    _take(extractor, details={"rows": amount})
    assert _entries(extractor) == [(("jane",), float(AMOUNT_MAX))]


def test_same_value_on_the_same_day_is_told_once() -> None:
    extractor = _behaviour("{type: first_seen, value: country}")
    for offset, country in enumerate(["DE", "DE", "FR", "DE"]):
        _take(extractor, offset, country=country)
    assert _entries(extractor) == [(("jane",), "DE"), (("jane",), "FR")]
    assert extractor.tally["repeat"] == 2


def test_run_that_is_read_again_tells_the_same_again() -> None:
    extractor = _behaviour("{type: dormant}")
    for _ in range(2):
        for offset in range(3):
            _take(extractor, offset)
        assert len(_entries(extractor)) == 1


def test_networks_and_countries_that_are_left_out_tell_nothing() -> None:
    extractor = _behaviour("{type: impossible_travel, ignore_countries: [FR], vpn_asns: [64500]}")
    _take(extractor)
    assert extractor.drain() == []
    extractor = _behaviour("{type: impossible_travel, ignore_countries: [FR], vpn_asns: [1]}")
    _take(extractor, country="FR")
    _take(extractor, 1)
    assert _entries(extractor) == [(("jane",), "DE")]


def test_findings_with_risk_feed_risk_and_need_no_hit() -> None:
    extractor = _behaviour("{type: risk, group: [session_id]}")
    found = Finding("guess", 1, "low", "", "", 25, (), "")
    _take(extractor, findings=(found, found._replace(rule_id="none", risk=0)), session_id="s1")
    assert _entries(extractor) == [(("s1",), [25, "guess"])]
    assert extractor.fed == frozenset()


def test_long_run_is_cut_between_events() -> None:
    extractor = _correlation("value_count", "user", "field: details.ids, gte: 3")
    for offset in range(100):
        _take(extractor, offset, details={"ids": [f"{offset}-{i}" for i in range(30)]})
    signals: list[Signal] = extractor.drain()
    assert [len(signal.entries) for signal in signals] == [1_020, 1_020, 960]
    assert min(map(len, (signal.entries for signal in signals[:-1]))) >= ENTRIES_CUT
    offsets = [{entry[0] for entry in signal.entries} for signal in signals]
    assert not offsets[0] & offsets[1]
