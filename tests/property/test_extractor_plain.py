"""The short ways of the extractor tell what the long one tells."""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.detecting import compile_rules
from cli.rule_folder import shipped
from detections.rule import Derived
from detections.stateful import extractor
from detections.stateful.extractor import Extractor, Origin
from detections.stateful.memory import Terms
from detections.stateful.reading import plain_read
from schemas.signal import Signal
from tests.sigma_corpus import UNKNOWN

RULESET: Final = compile_rules(shipped(), Terms()).detector.ruleset
MINUTE: Final = 60_000
T: Final = 29_000_000 * MINUTE

_VALUES = st.sampled_from([None, "", "a", "b", "x" * 200, "y" * 300, ["a", "b"], ["a"], [], 3])
_FIELDS = st.fixed_dictionaries(
    {"user": _VALUES, "source": _VALUES, "resource": _VALUES, "action": st.just("a.b.c")},
    optional={
        "session_id": _VALUES,
        "ip_address": _VALUES,
        "resource_id": _VALUES,
        "details": st.fixed_dictionaries({}, optional={"caller": _VALUES, "permission": _VALUES}),
    },
)
# fields, country, minutes since the first event, steps that the offset goes back, tenant
_EVENTS = st.lists(
    st.tuples(
        _FIELDS,
        st.sampled_from(["", "DE", "JP"]),
        st.integers(0, 3),
        st.sampled_from([0, 0, 0, 2]),
        st.sampled_from(["default", "acme"]),
    ),
    max_size=25,
)


def told(made: Extractor, events: list[Any]) -> tuple[list[Signal], dict[str, int]]:
    signals, hits = [], sorted(made.fed)
    for place, (fields, country, minutes, back, tenant) in enumerate(events):
        derived: Derived = UNKNOWN._replace(country=country, as_name=country, client=country)
        at_ms = T + minutes * MINUTE
        who = (f"e{place}", "", "", "", "", "")
        origin = Origin(tenant, "abc", place % 2, max(0, place - back), at_ms, at_ms, who)
        made.take(hits, (), fields, derived, origin)
        if place % 7 == 0:
            signals += made.drain()
    return signals + made.drain(), dict(made.tally)


@settings(max_examples=60, deadline=None)
@given(_EVENTS)
def test_short_ways_tell_what_the_long_one_tells(events: list[Any]) -> None:
    short = Extractor(RULESET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "plain_read", lambda *_all: None)
        long = Extractor(RULESET)
    assert told(short, events) == told(long, events)


def test_most_shipped_plans_are_read_the_short_way() -> None:
    short = [
        plan.rule_id
        for plan in RULESET.behaviours
        if plan.type != "risk" and plain_read(RULESET, plan.selection, plan.parameters["group"], ())
    ]
    assert len(short) > len(RULESET.behaviours) / 2
