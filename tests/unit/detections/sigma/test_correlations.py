"""Correlations as plans: references, bounds, chains and circles."""

import pytest

from detections.sigma.ruleset import BoolOp, SlotRef
from tests.sigma_rules import load_texts, refusal, rule_text


def base(name: str) -> str:
    head = f"title: Title of {name}\nname: {name}\nlogsource: {{product: dutycall}}\n"
    return rule_text(f"user: {name}", head)


def correlation(body: str, name: str = "corr") -> str:
    return f"title: Title of {name}\nname: {name}\ncorrelation:\n{body}"


COUNT = "  type: event_count\n  rules: [one]\n  group-by: [user]\n  timespan: 5m\n"
GTE = "  condition: {gte: 10}\n"


def test_count_becomes_a_plan() -> None:
    ruleset = load_texts(base("one"), correlation(COUNT + GTE))
    assert ruleset.refusals == ()
    (plan,) = ruleset.correlations
    assert (plan.type, plan.rules, plan.group_by) == ("event_count", (0,), ("user",))
    assert (plan.timespan_ms, plan.operator, plan.threshold) == (300_000, "gte", 10.0)
    assert plan.upper is None
    assert ruleset.fed == {0}


def test_base_rules_are_silent_unless_generate_says_so() -> None:
    assert load_texts(base("one"), correlation(COUNT + GTE)).rules[0].is_silent
    loud = correlation(COUNT + GTE + "  generate: true\n")
    assert not load_texts(base("one"), loud).rules[0].is_silent


def test_base_rules_of_a_refused_correlation_speak() -> None:
    ruleset = load_texts(base("one"), correlation(COUNT))
    assert len(ruleset.refusals) == 1
    assert not ruleset.rules[0].is_silent


@pytest.mark.parametrize("reference", ["one", "ONE", "Title of one"])
def test_rules_are_referred_to_by_id_name_or_title(reference: str) -> None:
    body = COUNT.replace("[one]", f"[{reference}]") + GTE
    assert load_texts(base("one"), correlation(body)).correlations[0].rules == (0,)


def test_range_of_two_bounds_is_kept_as_both() -> None:
    (plan,) = load_texts(
        base("one"), correlation(COUNT + "  condition: {gt: 100, lte: 200}\n")
    ).correlations
    assert (plan.operator, plan.threshold, plan.upper) == ("gt", 100.0, ("lte", 200.0))


def test_temporal_without_condition_needs_every_rule() -> None:
    body = "  type: temporal_ordered\n  rules: [one, two]\n  group-by: user\n  timespan: 1h\n"
    (plan,) = load_texts(base("one"), base("two"), correlation(body)).correlations
    assert (plan.rules, plan.operator, plan.threshold) == ((0, 1), "gte", 2.0)


def test_extended_condition_becomes_a_tree_over_the_slots() -> None:
    body = "  type: temporal\n  group-by: [user]\n  timespan: 1h\n  condition: two and not one\n"
    (plan,) = load_texts(base("one"), base("two"), correlation(body)).correlations
    assert plan.rules == (1, 0)
    assert plan.condition == BoolOp("and", (SlotRef(0), BoolOp("not", (SlotRef(1),))))


def test_aliases_name_the_field_in_each_rule() -> None:
    body = (
        "  type: temporal\n  rules: [one, two]\n  group-by: [who]\n  timespan: 1h\n"
        "  aliases:\n    who: {one: user, two: details.target}\n"
    )
    (plan,) = load_texts(base("one"), base("two"), correlation(body)).correlations
    assert plan.field_in(0, "who") == "user"
    assert plan.field_in(1, "who") == "details.target"
    assert plan.field_in(1, "other") == "other"


def test_chain_refers_to_the_correlation_by_its_rule_id() -> None:
    outer = COUNT.replace("[one]", "[corr]") + GTE
    ruleset = load_texts(base("one"), correlation(outer, "outer"), correlation(COUNT + GTE))
    assert ruleset.refusals == ()
    plans = {plan.rule_id: plan for plan in ruleset.correlations}
    assert plans["outer"].rules == ("corr",)
    assert plans["corr"].is_silent
    assert not plans["outer"].is_silent


def test_circle_of_correlations_is_refused_whole_and_what_rests_on_it() -> None:
    a = correlation(COUNT.replace("[one]", "[b]") + GTE, "a")
    b = correlation(COUNT.replace("[one]", "[a]") + GTE, "b")
    on_top = correlation(COUNT.replace("[one]", "[a]") + GTE, "top")
    self = correlation(COUNT.replace("[one]", "[self]") + GTE, "self")
    ruleset = load_texts(base("one"), a, b, on_top, self, correlation(COUNT + GTE, "fine"))
    assert {refused.rule for refused in ruleset.refusals} == {"a", "b", "top", "self"}
    assert [plan.rule_id for plan in ruleset.correlations] == ["fine"]


def test_correlation_of_a_refused_rule_is_refused() -> None:
    ruleset = load_texts(
        rule_text("user|nosuch: x"), correlation(COUNT.replace("one", "a-rule") + GTE)
    )
    assert "'a-rule', which was refused" in ruleset.refusals[1].reason
    assert ruleset.correlations == ()


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        pytest.param(COUNT, 4, "without condition", id="no condition"),
        pytest.param(COUNT.replace("event_count", "nosuch") + GTE, 4, "type", id="type"),
        pytest.param(COUNT.replace("5m", "5 minutes") + GTE, 4, "Timespan", id="timespan"),
        pytest.param(COUNT.replace("5m", "500d") + GTE, 7, "400 days", id="long timespan"),
        pytest.param(COUNT.replace("[one]", "[]") + GTE, 5, "no rule", id="no rules"),
        pytest.param(COUNT.replace("[one]", "[one, one]") + GTE, 5, "twice", id="rule twice"),
        pytest.param(COUNT.replace("[one]", "[one, Title of one]") + GTE, 5, "twice", id="twice"),
        pytest.param(COUNT.replace("[one]", "[{a: 1}]") + GTE, 5, "text", id="rule is a map"),
        pytest.param(COUNT.replace("[one]", "[nobody]") + GTE, 5, "no rule", id="nobody"),
        pytest.param(COUNT + "  condition: {gt: 5, gte: 6}\n", 8, "range", id="two lower bounds"),
        pytest.param(COUNT + "  condition: {gt: 9, lt: 5}\n", 8, "empty", id="empty range"),
        pytest.param(COUNT + "  condition: {gt: 9, lt: x}\n", 8, "numbers", id="no number"),
        pytest.param(COUNT + "  condition: one and one\n", 4, "xtended", id="extended count"),
        pytest.param(
            COUNT.replace("event_count", "value_sum") + "  condition: {gte: 5, field: [a, b]}\n",
            8, "several fields", id="sum of two fields",
        ),
        pytest.param(
            COUNT.replace("event_count", "value_count") + GTE, 4, "field", id="count of no field"
        ),
        pytest.param(
            COUNT.replace("event_count", "value_percentile") + "  condition: {gte: 5, field: a}\n",
            8, "percentile", id="no percentile",
        ),
        pytest.param(
            COUNT.replace("event_count", "temporal").replace("[one]", "[one]")
            + f"  condition: '{'(' * 40}one{')' * 40}'\n",
            8, "deep", id="deep extended condition",
        ),
    ],
)  # fmt: skip
def test_faulty_correlation_is_refused(body: str, line: int, reason: str) -> None:
    refused = refusal(base("one"), correlation(body))
    assert reason in refused.reason, refused
    assert (refused.path, refused.rule) == ("b.yml", "corr")
    assert refused.line in (line, 3), refused


def test_title_that_two_rules_have_is_no_reference() -> None:
    twin = base("one").replace("name: one", "name: two")
    refused = refusal(base("one"), twin, correlation(COUNT.replace("one", "Title of one") + GTE))
    assert "several" in refused.reason


def test_correlation_that_no_state_could_serve_is_refused_once_with_what_rests_on_it() -> None:
    huge = correlation(COUNT + "  condition: {gte: 1000000}\n")
    on_top = correlation(COUNT.replace("[one]", "[corr]") + GTE, "top")
    lost = correlation(COUNT.replace("[one]", "[nobody]") + GTE, "lost")
    ruleset = load_texts(base("one"), huge, on_top, lost)
    assert [refused.rule for refused in ruleset.refusals] == ["corr", "lost", "top"]
    assert ruleset.correlations == ()
    assert not ruleset.rules[0].is_silent
