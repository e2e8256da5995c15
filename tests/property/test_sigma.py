"""Laws of the Sigma engine: the index finds what a full scan finds, and nothing makes it raise."""

from typing import Any

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from detections.rule import Derived
from detections.sigma.detector import SigmaDetector
from detections.sigma.load import load_rules
from detections.sigma.router import Entry, Router
from detections.sigma.ruleset import Logsource, RuleFile
from detections.sigma.summary import to_say
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or, Tree, any_of, fold
from detections.sigma.view import texts_of
from tests.sigma_corpus import UNKNOWN
from tests.sigma_rules import HEAD, load_texts, rule_text

FIELDS = ("a", "b", "a.b", "role", "action", "off_hours", "source", "")
WORDS = (
    "x",
    "X",
    "xy",
    "yx",
    "",
    "Σ",
    "ς",
    "aς",
    "İ",
    "\u017f",
    "K",
    "true",
    "1",
    "1.0",
    'q"q',
    "\\n\n",
)

texts = st.sampled_from(WORDS) | st.text(max_size=4)
scalars = texts | st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**30)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("a", "b", "a.b")) | texts, inner, max_size=3)
    ),
    max_leaves=6,
)
docs = st.dictionaries(st.sampled_from(FIELDS[:-1]) | texts, values, max_size=5)


def leaves() -> st.SearchStrategy[Tree]:
    field = st.sampled_from(FIELDS)
    named = st.sampled_from(FIELDS[:-1])
    folded = texts.map(fold)
    some = st.lists(folded, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Leaf, named, st.just("equals"), some.map(frozenset)),
        st.builds(
            Leaf, named, st.just("equals"), st.frozensets(texts, min_size=1), st.just(value=True)
        ),
        st.builds(Leaf, named, st.sampled_from(("starts", "ends")), some),
        st.builds(Leaf, named, st.just("contains"), some, st.booleans()),
        st.builds(Leaf, field, st.just("contains"), some.filter(all)),
        st.builds(Leaf, named, st.sampled_from(("null", "exists", "filled"))),
        st.builds(
            Leaf,
            named,
            st.just("same_as"),
            st.tuples(named, st.booleans(), st.booleans()),
        ),
        st.builds(
            Leaf,
            field,
            st.just("regex"),
            st.sampled_from(
                ("x+y", "(?i)kxs", "xyx|y", "^x.y$", "(?s)aς.*", "tru[e]", "x{0,2}yxx")
            ),
        ),
        st.builds(
            Leaf,
            named,
            st.just("compare"),
            st.tuples(st.sampled_from(("lt", "gte")), st.integers(-2, 2), st.just("")),
        ),
    )


trees = st.recursive(
    leaves(),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda parts: And(tuple(parts)), st.lists(inner, min_size=2, max_size=3)),
        st.lists(inner, min_size=2, max_size=3).map(any_of),
        st.builds(lambda parts: Or(tuple(parts)), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda parts: AtLeast(2, tuple(parts)), st.lists(inner, min_size=3, max_size=3)),
    ),
    max_leaves=6,
)
LOGS = st.sampled_from(
    (Logsource("", "dutycall", ""), Logsource("api", "", ""), Logsource("odd", "", ""),
     Logsource("", "aws", "cloudtrail"), Logsource("", "", "voice"))
)  # fmt: skip
entries = st.lists(st.builds(Entry, LOGS, trees), min_size=1, max_size=40)
derived = st.builds(
    UNKNOWN._replace,
    category=st.sampled_from(("api", "export", "")),
    role=st.sampled_from(("", "x", "X")),
    is_off_hours=st.booleans(),
    occurred=st.just("2026-01-01 00:00:00"),
)
LAW = settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))


@LAW
@given(entries, st.lists(docs, min_size=1, max_size=4))
def test_index_finds_exactly_what_a_full_scan_finds(
    rules: list[Entry], events: list[dict[str, Any]]
) -> None:
    route = Router(rules).whole()
    assert route
    for event in events:
        assert route.match(event, UNKNOWN) == route.full_scan(event, UNKNOWN)


@LAW
@given(entries, st.lists(st.tuples(docs, derived, st.booleans()), min_size=1, max_size=4))
def test_routed_and_narrowed_events_match_what_a_full_scan_matches(
    rules: list[Entry], events: list[tuple[dict[str, Any], Derived, bool]]
) -> None:
    router = Router(rules)
    for doc, known, is_aws in events * 3:  # the third time by what is left of the rules
        fields = {**doc, "action": "aws.x" if is_aws else "x.y", "user": "x", "source": "voice"}
        fields["details"] = {"cloudtrail": doc}
        assert router.match(fields, known) == router.full_scan(fields, known)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
EVERYTHING = SigmaDetector(
    load_texts(
        *(
            rule_text(detection, HEAD.replace("a-rule", f"rule-{number}"))
            for number, detection in enumerate(
                (
                    "details.a|re: x.*y", "details.a|cidr: 10.0.0.0/8", "details.a|gt: 5",
                    "details.a|hour|gte: 5", "details.a|fieldref: details.b", "details.a: null",
                    "details.a: 'x*y?z'", "details.a|exists: false", "details: '*'",
                    "k: [x, '*y*z*']\ncondition: k", "details.a.b.c|contains: x",
                    "details.a|neq: 5", "k:\n  '|re': x\ncondition: not k", "asn|lt: 5",
                    "switched_off|contains: x", "retention_shortened: '*'", "roles_given: admin",
                    "records|gte: 5", "key_owner: '*'", "target|fieldref: user", "size_mb|gt: 1",
                )
            )
        )
    )
)  # fmt: skip


def test_rules_of_every_kind_are_loaded_for_the_law_of_totality() -> None:
    assert EVERYTHING.ruleset.refusals == ()


@LAW
@given(st.dictionaries(st.sampled_from(("a", "b", "before", "after", "x")), json))
@example({"a": "\ud800", "b": [[[]]]})
@example({"a": 10**400})
@example({"a": {"b": 10**400}, "b": float("inf")})
def test_engine_is_total_for_any_details(details: dict[str, Any]) -> None:
    fields = {"user": "jane", "action": "api.key.created", "details": details}
    for _ in range(3):
        verdict = EVERYTHING.judge(fields, UNKNOWN)
        assert len(verdict.findings) == len({finding.rule_id for finding in verdict.findings})


def test_engine_is_total_for_deep_and_huge_events() -> None:
    deep: Any = "x"
    for _ in range(240):
        deep = {"a": deep} if _ % 2 else [deep]
    wide: dict[str, Any] = dict.fromkeys(map(str, range(20_000)), 1)
    for details in ({"a": deep}, {"a": ["x"] * 100_000}, wide):
        fields = {"user": "jane", "action": "api.key.created", "details": details}
        EVERYTHING.judge(fields, UNKNOWN)
        assert EVERYTHING.router.match(fields, UNKNOWN) == EVERYTHING.router.full_scan(
            fields, UNKNOWN
        )


@LAW
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_loading_any_bytes_gives_a_rule_set_and_never_raises(content: bytes | str) -> None:
    ruleset = load_rules([RuleFile("any.yml", content)])
    assert ruleset.rules == ()


def _is_plain(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


KEYS = (
    "title", "id", "name", "logsource", "detection", "correlation", "filter", "behaviour",
    "exception", "level", "tags", "falsepositives", "audit", "status", "date", "fields",
)  # fmt: skip
top = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, json))


@LAW
@given(top, st.sampled_from(("", "title", "logsource", "detection")))
def test_rules_with_any_values_are_loaded_or_refused(odd: dict[str, Any], dropped: str) -> None:
    plain = {
        "title": "A rule",
        "name": "a-rule",
        "logsource": {"product": "dutycall"},
        "detection": {"selection": {"user": "x"}, "condition": "selection"},
    }
    plain.pop(dropped, None)
    if not _is_plain({**plain, **odd}):
        return
    ruleset = load_rules([RuleFile("any.yml", orjson.dumps({**plain, **odd}))])
    loaded = len(ruleset.rules) + len(ruleset.correlations) + len(ruleset.exceptions)
    assert loaded + len(ruleset.refusals) + ("filter" in odd) >= 1
    SigmaDetector(ruleset)


@LAW
@given(st.text(), st.dictionaries(st.sampled_from("abc"), values))
def test_summary_is_total_for_any_template(template: str, fields: dict[str, Any]) -> None:
    for text in (template, f"{template} from {{a}} ({{b:,}}) {template}"):
        to_say(text, lambda name: lambda doc, _known: texts_of(doc.get(name)))(fields, UNKNOWN)


@given(texts, texts)
def test_folding_a_whole_is_folding_its_parts(one: str, other: str) -> None:
    assert fold(one + other) == fold(one) + fold(other)
    assert fold(fold(one)) == fold(one)
