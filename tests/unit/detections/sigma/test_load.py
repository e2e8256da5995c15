"""Loading: what is refused, at which line and why; the rest goes on."""

import pytest

from detections.sigma import documents
from detections.sigma.load import REFUSALS_MAX, load_rules
from detections.sigma.ruleset import RuleFile
from tests.sigma_corpus import UNKNOWN
from tests.sigma_rules import HEAD, LAB_HEAD, load_texts, matches, refusal, router_of, rule_text

GOOD = rule_text("user: jane")
BASE = "title: Other\nname: other\nlogsource: {product: dutycall}\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param("title: [", 2, "not YAML", id="broken YAML"),
        pytest.param("- 1\n- 2\n", 1, "must be a mapping", id="no mapping"),
        pytest.param("just text", 1, "must be a mapping", id="text"),
        pytest.param(HEAD + "title: again\n", 4, "'title' twice", id="repeated key"),
        pytest.param("a: &x [*x]\n", 1, "alias of nothing", id="alias of itself"),
        pytest.param("a: *nowhere\n", 1, "", id="alias of nothing"),
        pytest.param("1: x\n", 1, "not a text", id="key that is a number"),
        pytest.param("a: !!python/object:os.system x\n", 1, "tag", id="tag of a program"),
        pytest.param("a: &m {b: 1}\nc:\n  <<: *m\n", 3, "merge keys", id="merge key"),
        pytest.param("a: " + "[" * 40 + "]" * 40, 1, "too deep", id="deep"),
        pytest.param(HEAD, 1, "detection", id="no detection"),
        pytest.param(rule_text("user|nosuch: x"), 5, "nosuch", id="unknown modifier"),
        pytest.param(rule_text("user|contains: 1"), 5, "incompatible", id="modifier on a number"),
        pytest.param(rule_text("user|re: '('"), 5, "invalid", id="broken regex"),
        pytest.param(rule_text("user|re: (a)\\1"), 5, "invalid", id="back-reference"),
        pytest.param(rule_text("user|cidr: 10.0.0.1/8"), 5, "Invalid CIDR", id="broken network"),
        pytest.param(rule_text("user|gt: many"), 5, "incompatible", id="comparison with a text"),
        pytest.param(rule_text("a: {b: 1}\ncondition: c"), 6, "not defined", id="dangling name"),
        pytest.param(rule_text("a: {b: 1}\ncondition: 1 of x*"), 6, "no selection", id="nothing"),
        pytest.param(rule_text("a: {b: 1}\ncondition: 2 of a*"), 6, "2 of 1", id="too many of"),
        pytest.param(rule_text("a: {b: 1}\ncondition: 0 of a*"), 6, "'0'", id="none of"),
        pytest.param(rule_text("a: {b: 1}\ncondition: (a"), 6, "not closed", id="parenthesis"),
        pytest.param(rule_text("a: {b: 1}\ncondition: a a"), 6, "not expected", id="two names"),
        pytest.param(rule_text("a: {b: 1}\ncondition: a and"), 6, "too early", id="no end"),
        pytest.param(rule_text("a: {b: 1}\ncondition: a | count() > 5"), 6, "`|`", id="pipe"),
        pytest.param(rule_text("a: {b: 1}\ncondition: []"), 6, "", id="no condition"),
        pytest.param(rule_text("a: {b: 1}\ncondition: 5"), 6, "", id="number as condition"),
        pytest.param(
            rule_text("a: {b: 1}\ntimeframe: 5m\ncondition: a"), 6, "timeframe", id="timeframe"
        ),
        pytest.param(
            rule_text("u|expand: '%who%'"), 5, "%who% is given no values", id="placeholder"
        ),
        pytest.param(rule_text("k: ['']\nq: 1\ncondition: k"), 5, "", id="condition on a text"),
        pytest.param(rule_text("k: ['*']\ncondition: k"), 5, "without a text", id="keyword *"),
        pytest.param(
            rule_text("k:\n  '|cidr': 10.0.0.0/8\ncondition: k"), 5, "keyword", id="keyword cidr"
        ),
        pytest.param(
            "title: x\nname: x\ndetection: {a: {b: 1}, condition: a}\n",
            1, "log source", id="no logsource",
        ),
        pytest.param(
            "title: x\nlogsource: {product: p}\ndetection: {a: {b: 1}, condition: a}\n",
            1, "needs an id or a name", id="no id",
        ),
        pytest.param(rule_text("a: 1", HEAD + "level: huge\n"), 4, "level", id="level"),
        pytest.param(rule_text("a: 1", HEAD + "tags: attack\n"), 4, "list", id="tags"),
        pytest.param(rule_text("a: 1", HEAD + "audit: {version: 0}\n"), 4, "version", id="version"),
        pytest.param(rule_text("a: 1", HEAD + "audit: {risk: much}\n"), 4, "risk", id="risk"),
        pytest.param(rule_text("a: 1", HEAD + "audit: [1]\n"), 4, "mapping", id="audit"),
        pytest.param(rule_text("a: 1", HEAD + "action: global\n"), 4, "action", id="action"),
        pytest.param(rule_text("a: 1", HEAD + "id: 17\n"), 4, "id", id="id"),
        pytest.param(
            rule_text("a: 1", HEAD + "behaviour: {type: nosuch}\n"), 4, "behaviour", id="behaviour"
        ),
        pytest.param(
            rule_text("a: 1", HEAD + "behaviour: {}\ncorrelation: {}\n"), 4, "both", id="two kinds"
        ),
    ],
)  # fmt: skip
def test_faulty_rule_is_refused_at_its_line_and_the_rest_goes_on(
    text: str, line: int, reason: str
) -> None:
    ruleset = load_texts(text, rule_text("user: joe", BASE))
    (refused,) = ruleset.refusals
    assert (refused.path, refused.line) == ("a.yml", line), refused
    assert reason in refused.reason
    assert [rule.name for rule in ruleset.rules] == ["other"]


def test_file_larger_than_a_mebibyte_is_refused() -> None:
    padding = "#" * documents.FILE_BYTES_MAX
    assert "1 MiB" in refusal(GOOD + padding).reason


def test_bytes_that_are_no_utf8_are_refused() -> None:
    (refused,) = load_rules([RuleFile("a.yml", b"title: \xff\xfe")]).refusals
    assert "UTF-8" in refused.reason


def test_control_characters_are_refused() -> None:
    assert "not YAML" in refusal("title: \x00").reason


def test_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many" in refusal("\n".join(lines)).reason


def test_aliases_within_reason_are_fine() -> None:
    text = rule_text("one: {user: &who [jane, joe]}\ntwo: {role: *who}\ncondition: one and two")
    assert load_texts(text).refusals == ()


def test_condition_of_ten_thousand_ways_is_refused() -> None:
    ways = " or ".join(["a"] * 10_000)
    assert "longer" in refusal(rule_text(f"a: {{b: 1}}\ncondition: {ways}")).reason


def test_condition_nested_too_deep_is_refused() -> None:
    nested = "(" * 100 + "a" + ")" * 100
    assert "nested" in refusal(rule_text(f"a: {{b: 1}}\ncondition: {nested}")).reason
    nots = "not " * 100 + "a"
    assert "nested" in refusal(rule_text(f"a: {{b: 1}}\ncondition: {nots}")).reason


def test_ten_thousand_selections_by_pattern_are_bounded_by_their_values() -> None:
    many = "\n".join(
        f"s{n}: {{f{n}: [{', '.join(str(v) for v in range(12))}]}}" for n in range(2_000)
    )
    assert "more than" in refusal(rule_text(f"{many}\ncondition: 1 of s*")).reason


def test_list_of_five_thousand_addresses_is_a_rule() -> None:
    many = ", ".join(f"10.0.{n // 250}.{n % 250}" for n in range(5_000))
    assert load_texts(rule_text(f"ip_address: [{many}]")).refusals == ()


def test_catastrophic_regex_runs_in_linear_time_and_a_huge_one_is_refused() -> None:
    assert not matches("x|re: '(a+)+$'", {"x": "a" * 20_000 + "b"})
    assert not matches(f"x: '{'a*' * 20}b'", {"x": "a" * 20_000})
    assert "more than" in refusal(rule_text(f"x|re: '{'ab' * 4_000}'")).reason
    assert refusal(rule_text("x|re: '((a{100}){100}){100}'")).reason


def test_same_id_or_name_twice_is_refused_the_second_time() -> None:
    identity = "id: 0a4f4bd2-6ea1-4d2c-8e0c-1a2b3c4d5e6f\n"
    first = rule_text("user: a", HEAD + identity)
    again = rule_text("user: a", BASE + identity.upper().replace("ID:", "id:"))
    ruleset = load_texts(first, again)
    assert [rule.name for rule in ruleset.rules] == ["a-rule"]
    assert "is that of a.yml:1" in ruleset.refusals[0].reason
    assert "is that of a.yml:1" in refusal(GOOD, GOOD).reason


def test_documents_of_one_file_are_rules_of_their_own() -> None:
    text = f"{GOOD}---\n{rule_text('user: joe', BASE)}---\n"
    assert [rule.line for rule in load_texts(text).rules] == [1, 9]
    broken = f"{GOOD}---\ntitle: x\nname: x\n---\n{rule_text('user: joe', BASE)}"
    ruleset = load_texts(broken)
    assert [rule.name for rule in ruleset.rules] == ["a-rule", "other"]
    assert ruleset.refusals[0].line == 9


def test_endless_faults_are_listed_up_to_a_bound_that_says_so() -> None:
    many = "\n---\n".join([f"title: t\nname: n{n}" for n in range(990)])
    refusals = load_texts(many, many.replace("name: n", "name: m")).refusals
    assert len(refusals) == REFUSALS_MAX + 1
    assert sum("more is wrong" in refused.reason for refused in refusals) == 1


def test_refusal_is_one_line_with_its_place() -> None:
    assert str(refusal(rule_text("user|nosuch: x"))).startswith("a.yml:5: a-rule: ")


def test_version_changes_with_files_and_placeholders_and_not_with_their_order() -> None:
    other = rule_text("user: joe", BASE)
    files = [RuleFile("x.yml", GOOD), RuleFile("y.yml", other)]
    version = load_rules(files).version
    assert version == load_rules(files[::-1]).version
    assert len(version) == 8
    assert version != load_rules(files[:1]).version
    assert version != load_rules(files, placeholders={"a": ["b"]}).version


def test_rule_id_is_the_name_else_the_id() -> None:
    head = "title: x\nid: 0a4f4bd2-6ea1-4d2c-8e0c-1a2b3c4d5e6f\nlogsource: {product: dutycall}\n"
    (rule,) = load_texts(rule_text("user: a", head)).rules
    assert rule.rule_id == "0a4f4bd2-6ea1-4d2c-8e0c-1a2b3c4d5e6f"
    (named,) = load_texts(rule_text("user: a", head + "name: my-rule\n")).rules
    assert named.rule_id == "my-rule"


def test_rule_without_level_and_audit_has_defaults() -> None:
    (rule,) = load_texts(rule_text("user: a", HEAD + "description: |\n  Two\n  lines.\n")).rules
    assert (rule.severity, rule.risk, rule.version) == ("medium", 15, 1)
    assert rule.why == "Two lines."
    (low,) = load_texts(
        rule_text("user: a", HEAD + "level: informational\naudit: {risk: 0}\n")
    ).rules
    assert (low.severity, low.risk) == ("info", 0)


FILTER = """
title: Not the backup user
logsource: {product: dutycall}
filter:
  rules: %s
  selection: {user: backup}
  condition: not selection
"""


def test_filter_narrows_the_rules_that_it_names() -> None:
    text = rule_text("role: admin")
    for named in ("any", "[a-rule]", "A rule"):
        ruleset = load_texts(text, FILTER % named)
        assert ruleset.refusals == (), named
        route = router_of(ruleset).whole()
        assert route
        assert route.match({"role": "admin", "user": "jane"}, UNKNOWN) == [0]
        assert route.match({"role": "admin", "user": "backup"}, UNKNOWN) == []


def test_filter_for_another_log_leaves_a_rule_alone() -> None:
    text = rule_text("role: admin")
    other = (FILTER % "any").replace("dutycall", "aws")
    assert load_texts(text, other).trees == load_texts(text).trees


def test_filter_that_names_no_rule_is_refused() -> None:
    assert "no rule" in refusal(GOOD, FILTER % "[nobody]").reason
    assert "did you mean 'user'" in refusal(GOOD, (FILTER % "any").replace("user:", "usr:")).reason
    assert refusal(GOOD, FILTER.replace("  rules: %s\n", "")).line == 4


EXCEPTION = """
title: Nightly export
name: nightly
exception: {rules: [a-rule], owner: ops, reason: agreed, expires: '2026-12-31'}
detection: {selection: {user: backup}, condition: selection}
"""


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param(rule_text("acton: x"), 5, "'acton'; did you mean 'action'?", id="field"),
        pytest.param(
            rule_text("user.name: x"), 5, "'user.name'; did you mean 'user'?", id="below a text"
        ),
        pytest.param(rule_text("a: [{x: 1}]\ncondition: a"), 5, "field 'x'", id="in a list"),
        pytest.param(rule_text("target|fieldref: usr"), 5, "'usr'", id="field referred to"),
        pytest.param(
            rule_text("user: x", HEAD.replace("dutycall", "dutycal")), 3,
            "product 'dutycal' comes here; did you mean 'dutycall'?", id="product",
        ),
        pytest.param(
            rule_text("user: x", HEAD.replace("dutycall", "dutycall, category: setings")), 3,
            "no category 'setings'", id="category",
        ),
        pytest.param(
            rule_text("user: x", HEAD.replace("dutycall", "dutycall, category: exports")), 3,
            "did you mean 'export'?", id="near category",
        ),
        pytest.param(
            rule_text("user: x", HEAD + 'audit: {summary: "{usr} did it"}\n'), 4,
            "did you mean 'user'?", id="summary",
        ),
        pytest.param(
            rule_text("user: x", HEAD + "behaviour: {type: first_seen, group: [usr], value: x}\n"),
            4, "'usr'", id="group of a behaviour",
        ),
    ],
)  # fmt: skip
def test_rule_for_our_log_that_asks_what_no_event_has_is_refused(
    text: str, line: int, reason: str
) -> None:
    refused = refusal(text)
    assert (refused.line, refused.path) == (line, "a.yml")
    assert reason in refused.reason


def test_correlation_that_groups_by_what_no_event_has_is_refused() -> None:
    text = "title: Many\nname: many\ncorrelation:\n  type: event_count\n  rules: [a-rule]\n"
    text += "  group-by: [usr]\n  timespan: 1m\n  condition: {gte: 3}\n"
    refused = refusal(GOOD, text)
    assert (refused.line, refused.reason) == (6, "events have no field 'usr'; did you mean 'user'?")
    assert load_texts(GOOD, text.replace("usr", "details.usr")).refusals == ()


def test_what_rests_on_a_refused_rule_is_told_after_it() -> None:
    many = "title: Many\nname: many\ncorrelation:\n  type: event_count\n  rules: [a-rule]\n"
    many += "  group-by: [user]\n  timespan: 1m\n  condition: {gte: 3}\n"
    cause, consequence = load_texts(many, rule_text("usr: x")).refusals
    assert (cause.path, consequence.path) == ("b.yml", "a.yml")
    assert consequence.reason == "refers to 'a-rule', which was refused"


def test_rules_for_other_logs_and_paths_below_details_may_ask_for_anything() -> None:
    fine = rule_text("details.whatever.it.is: x\nrecords|gte: 3\ncountry: DE")
    assert (
        load_texts(fine, rule_text("eventName: x", LAB_HEAD.replace("a-rule", "b"))).refusals == ()
    )


def test_draft_is_refused_but_where_rules_are_tried() -> None:
    draft = rule_text("user: x", HEAD + "audit: {why: Say why somebody should care.}\n")
    assert "write it first" in refusal(draft).reason
    assert load_rules([RuleFile("a.yml", draft)], with_drafts=True).refusals == ()


def test_exception_needs_rules_owner_reason_and_expiry() -> None:
    (exception,) = load_texts(GOOD, EXCEPTION).exceptions
    assert (exception.owner, exception.reason, exception.expires) == (
        "ops", "agreed", "2026-12-31",
    )  # fmt: skip
    assert exception.rules == {0}
    for wrong in (
        "owner: ops, ",
        "reason: agreed, ",
        ", expires: '2026-12-31'",
        "rules: [a-rule], ",
    ):
        refused = refusal(GOOD, EXCEPTION.replace(wrong, ""))
        assert refused.line == 4, wrong
    assert "date" in refusal(GOOD, EXCEPTION.replace("2026-12-31", "2026-13-31")).reason
    assert "date" in refusal(GOOD, EXCEPTION.replace("2026-12-31", "2026-02-30")).reason
    assert "no rule" in refusal(GOOD, EXCEPTION.replace("[a-rule]", "[b-rule]")).reason


@pytest.mark.parametrize("tenant", ["''", "[a, b]", "7"])
def test_exception_names_one_tenant_or_none(tenant: str) -> None:
    wrong = EXCEPTION.replace("owner: ops", f"owner: ops, tenant: {tenant}")
    assert "tenant" in refusal(GOOD, wrong).reason


def test_behaviour_brings_a_silent_rule_and_its_plan() -> None:
    behaviour = HEAD + "behaviour: {type: first_seen, group: [user], value: country}\n"
    ruleset = load_texts(rule_text("verb: login", behaviour))
    assert ruleset.refusals == ()
    (plan,) = ruleset.behaviours
    assert (plan.type, plan.selection, plan.rule_id) == ("first_seen", 0, "a-rule")
    assert plan.parameters["value"] == "country"
    assert ruleset.rules[0].is_silent
    assert ruleset.fed == {0}
