"""Findings, hits and exceptions as stage 1 gets them."""

from typing import Any

from detections.rule import NOTHING
from detections.sigma.detector import SigmaDetector
from tests.sigma_corpus import UNKNOWN
from tests.sigma_rules import HEAD, load_texts, rule_text

NATIVE = {"user": "jane", "action": "api.key.created", "resource": "key", "details": {"rows": 1523}}
AT = UNKNOWN._replace(occurred="2026-06-30 12:00:00", category="api")
CORRELATION = (
    "title: Many\nname: many\ncorrelation:\n  type: event_count\n  rules: [a-rule]\n"
    "  group-by: [user]\n  timespan: 5m\n  condition: {gte: 10}\n"
)
EXCEPTION = (
    "title: Agreed\nname: agreed\n"
    "exception: {rules: [a-rule], owner: ops, reason: ticket, expires: '2026-07-01'}\n"
    "detection: {selection: {resource: key}, condition: selection}\n"
)


def detector(*texts: str) -> SigmaDetector:
    ruleset = load_texts(*texts)
    assert ruleset.refusals == ()
    return SigmaDetector(ruleset)


def judge(made: SigmaDetector, fields: Any = None) -> Any:
    return made.judge(NATIVE if fields is None else fields, AT)


def test_event_that_nothing_matches_gives_the_shared_nothing() -> None:
    assert judge(detector(rule_text("user: joe"))) is NOTHING


def test_finding_tells_what_its_rule_says() -> None:
    head = HEAD + "level: high\ntags: [attack.t1098]\naudit:\n  version: 3\n  risk: 40\n"
    head += '  runbook: look\n  summary: "{user} made {details.rows:,} rows."\n'
    (finding,) = judge(detector(rule_text("user: jane", head))).findings
    assert finding == (
        "a-rule", 3, "high", "A rule", "jane made 1,523 rows.", 40, ("attack.t1098",), "look", "",
    )  # fmt: skip


def test_rule_without_a_summary_says_who_did_what() -> None:
    (finding,) = judge(detector(rule_text("user: jane"))).findings
    assert finding.summary == "jane did api.key.created on key."


def test_detect_is_the_findings_of_judge() -> None:
    made = detector(rule_text("user: jane"))
    assert made.detect(NATIVE, AT) == judge(made).findings


def test_silent_rule_gives_a_hit_and_no_finding() -> None:
    verdict = judge(detector(rule_text("user: jane"), CORRELATION))
    assert (list(verdict.findings), list(verdict.hits)) == ([], [0])


def test_rule_that_generates_gives_both() -> None:
    verdict = judge(detector(rule_text("user: jane"), CORRELATION + "  generate: true\n"))
    assert (len(verdict.findings), list(verdict.hits)) == (1, [0])


def test_rule_that_nothing_refers_to_gives_no_hit() -> None:
    assert list(judge(detector(rule_text("user: jane"))).hits) == []


def test_exception_hides_a_finding_and_counts_it() -> None:
    made = detector(rule_text("user: jane"), EXCEPTION)
    verdict = judge(made)
    assert list(verdict.findings) == []
    (hidden,) = verdict.hidden
    assert hidden[:2] == ("a-rule", "agreed")
    assert hidden.finding is not None
    assert hidden.finding.rule_id == "a-rule"
    assert made.hidden == {"agreed": 1}


def test_exception_hides_nothing_that_it_is_not_for() -> None:
    made = detector(rule_text("user: jane"), EXCEPTION)
    assert len(judge(made, {**NATIVE, "resource": "other"}).findings) == 1
    assert made.hidden == {}


def test_exception_ends_with_the_day_that_it_names() -> None:
    made = detector(rule_text("user: jane"), EXCEPTION)
    late = AT._replace(occurred="2026-07-01 00:00:00")
    assert len(made.judge(NATIVE, late).findings) == 1


def test_exception_that_has_ended_hides_nothing_that_is_backdated() -> None:
    made = detector(rule_text("user: jane"), EXCEPTION)
    end_ms = 1_782_864_000_000  # 2026-07-01
    assert made.judge(NATIVE, AT._replace(recorded_ms=end_ms - 1)).hidden
    assert len(made.judge(NATIVE, AT._replace(recorded_ms=end_ms)).findings) == 1


def test_exception_of_a_tenant_hides_nothing_of_another() -> None:
    made = detector(
        rule_text("user: jane"), EXCEPTION.replace("owner: ops", "owner: ops, tenant: acme")
    )
    assert len(judge(made).findings) == 1
    assert len(judge(made, NATIVE | {"tenant": "other"}).findings) == 1
    assert judge(made, NATIVE | {"tenant": "acme"}).hidden


def test_exception_of_no_tenant_by_name_is_for_all() -> None:
    made = detector(
        rule_text("user: jane"), EXCEPTION.replace("owner: ops", "owner: ops, tenant: default")
    )
    assert judge(made).hidden


def test_exception_hides_hits_as_well() -> None:
    verdict = judge(detector(rule_text("user: jane"), EXCEPTION, CORRELATION))
    assert (list(verdict.hits), len(verdict.hidden)) == ([], 1)


def test_exception_to_a_rule_of_aws_looks_at_the_record() -> None:
    head = HEAD.replace("dutycall", "aws")
    record = {"eventName": "X", "resource": "key"}
    fields = {"user": "u", "action": "aws.a.b", "details": {"cloudtrail": record}}
    assert judge(detector(rule_text("eventName: X", head), EXCEPTION), fields).hidden


def test_summary_of_a_rule_of_aws_reads_the_record_and_the_event_around_it() -> None:
    head = HEAD.replace("dutycall", "aws") + 'audit: {summary: "{eventName} by {user}"}\n'
    fields = {"user": "u", "action": "aws.a.b", "details": {"cloudtrail": {"eventName": "X"}}}
    (finding,) = judge(detector(rule_text("eventName: X", head)), fields).findings
    assert finding.summary == "X by u"


def test_counts_tell_how_good_the_index_is() -> None:
    made = detector(rule_text("details.rows|gte: 1"))
    for _ in range(4):
        judge(made)
    counts = made.counts()
    assert (counts.events, counts.rules, counts.predicates, counts.always) == (4, 1, 1, 0)
    assert counts.candidates == 4
