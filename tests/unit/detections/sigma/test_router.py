"""Which events a rule is shown, by its logsource; and what narrowing remembers."""

from typing import Any

import pytest

from detections.sigma.narrow import SEEN_MAX, Narrowed
from detections.sigma.router import Router
from detections.sigma.tree import Leaf, Tree
from tests.sigma_corpus import UNKNOWN
from tests.sigma_rules import load_texts, router_of, rule_text

NATIVE = {"user": "jane", "action": "api.key.created", "source": "billing"}
RECORD = {"eventName": "DeleteTrail", "user": "jane"}
AWS = {"user": "x", "action": "aws.cloudtrail.delete_trail", "details": {"cloudtrail": RECORD}}


def router(logsource: str, detection: str = "user: jane") -> Router:
    head = f"title: A rule\nname: a-rule\nlogsource: {{{logsource}}}\n"
    ruleset = load_texts(rule_text(detection, head))
    assert ruleset.refusals == ()
    return router_of(ruleset)


def is_shown(logsource: str, fields: dict[str, Any], category: str = "api") -> bool:
    derived = UNKNOWN._replace(category=category)
    made = router(logsource)
    expected = made.full_scan(fields, derived)
    for _ in range(3):
        assert made.match(fields, derived) == expected
    return expected == [0]


def test_rule_of_our_product_sees_our_events_only() -> None:
    assert is_shown("product: dutycall", NATIVE)
    assert is_shown("product: DutyCall", NATIVE)
    assert not is_shown("product: dutycall", AWS)


def test_category_and_service_narrow_our_events() -> None:
    assert is_shown("product: dutycall, category: api", NATIVE)
    assert not is_shown("product: dutycall, category: export", NATIVE)
    assert is_shown("product: dutycall, service: Billing", NATIVE)
    assert not is_shown("product: dutycall, service: voice", NATIVE)
    assert not is_shown("product: dutycall, service: voice", {**NATIVE, "source": None})


def test_rule_of_aws_sees_the_record_inside_and_not_our_event_around_it() -> None:
    assert is_shown("product: aws, service: cloudtrail", AWS)
    assert is_shown("product: aws", AWS)
    assert not is_shown("product: aws", NATIVE)
    assert not is_shown("product: aws, service: s3access", AWS)


def test_record_needs_the_action_of_its_log_and_must_be_an_object() -> None:
    assert not is_shown("product: aws", {**AWS, "action": "billing.key.created"})
    for details in (None, {}, {"cloudtrail": None}, {"cloudtrail": ["x"]}, {"cloudtrail": "x"}):
        assert not is_shown("product: aws", {**AWS, "details": details})


def test_rule_of_a_product_that_we_have_not_sees_nothing() -> None:
    assert not is_shown("product: windows, category: process_creation", NATIVE)
    assert not is_shown("product: windows", AWS)


def test_rule_without_a_product_fails_open_where_its_keys_say_nothing_here() -> None:
    assert is_shown("category: process_creation", NATIVE)
    assert is_shown("category: process_creation", AWS)
    assert is_shown("service: cloudtrail", AWS)
    assert not is_shown("service: cloudtrail", NATIVE)
    assert is_shown("category: api", NATIVE)
    assert not is_shown("category: export", NATIVE)
    assert is_shown("service: billing", NATIVE)
    assert is_shown("service: voice", {**NATIVE, "source": None})
    assert not is_shown("service: voice", NATIVE)


@pytest.mark.parametrize("action", ["aws", "aws.", "awsx.a.b", ".aws", ""])
def test_odd_actions_are_no_records(action: str) -> None:
    assert is_shown("product: aws", {**AWS, "action": action}) == (action in ("aws", "aws."))


def test_rule_that_both_views_match_is_found_once() -> None:
    fields = {**AWS, "user": "jane"}
    assert router("category: unheard_of").match(fields, UNKNOWN) == [0]


def test_field_names_of_products_are_mapped_and_the_old_ones_kept() -> None:
    detection = "gcp.audit.method_name|endswith: .delete"
    made = router("product: gcp, service: gcp.audit", detection)
    for record in (
        {"protoPayload": {"methodName": "x.delete"}},
        {"gcp.audit.method_name": "y.delete"},
    ):
        fields = {"user": "x", "action": "gcp.audit.write", "details": {"gcp": record}}
        # where a record lies does not tell its service here, so rules of any service see it
        assert made.match(fields, UNKNOWN) == made.full_scan(fields, UNKNOWN) == [0]


def test_getter_reads_a_field_as_its_rule_sees_it() -> None:
    head = "title: A rule\nname: a-rule\nlogsource: {product: aws}\n"
    ruleset = load_texts(rule_text("eventName: x", head))
    get = ruleset.getter(0, "eventName")
    assert get(AWS, UNKNOWN) == ("DeleteTrail",)
    assert get(NATIVE, UNKNOWN) == ()
    native = load_texts(rule_text("user: x"))
    assert native.getter(0, "country")(NATIVE, UNKNOWN._replace(country="DE")) == ("DE",)
    assert native.getter(0, "details.a")({**NATIVE, "details": {"a": [1, "x"]}}, UNKNOWN) == (
        "1", "x",
    )  # fmt: skip


def test_flood_of_new_actions_is_never_remembered() -> None:
    trees: dict[int, Tree] = {0: Leaf("action", "equals", frozenset(("a.b",)))}
    narrowed = Narrowed(trees)
    for n in range(SEEN_MAX + 10):
        assert narrowed.rest_of({"action": f"a.{n}"}, UNKNOWN) is None
    assert narrowed.rest_of({"action": f"a.{SEEN_MAX + 9}"}, UNKNOWN) is not None


def test_candidates_and_always_tried_rules_are_counted() -> None:
    made = router("product: aws", "a: {eventName: DeleteTrail}\ncondition: not a")
    made.match(AWS, UNKNOWN)
    (route,) = made.routes()
    assert (route.events, route.candidates, route.index.always) == (1, 1, (0,))
