"""Behaviours as files write them: defaults, and every fault named with its cure."""

from typing import Any

import pytest

from detections.stateful.behaviours import PARAMETERS, parse_behaviour
from detections.stateful.spans import parse_span, spell_span

DAY = 86_400_000


def test_first_seen_needs_only_its_value() -> None:
    assert parse_behaviour("first_seen", {"value": "country"}) == {
        "group": ("user",),
        "value": "country",
        "learning": 14 * DAY,
        "expiry": 90 * DAY,
    }


@pytest.mark.parametrize("kind", [kind for kind in PARAMETERS if kind != "first_seen"])
def test_all_others_need_nothing(kind: str) -> None:
    assert set(parse_behaviour(kind, {})) == set(PARAMETERS[kind])


def test_lists_are_read_as_sets() -> None:
    given = {"ignore_countries": ["fr", "DE", "FR"], "vpn_asns": 13335, "group": "user"}
    parameters = parse_behaviour("impossible_travel", given)
    assert parameters["ignore_countries"] == ("DE", "FR")
    assert parameters["vpn_asns"] == (13335,)
    assert parameters["group"] == ("user",)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        pytest.param("novel", {}, "behaviour.type: want one of dormant, first_seen", id="type"),
        pytest.param("rate", {"window": "1h"}, "behaviour.window: rate has no such", id="unknown"),
        pytest.param("first_seen", {}, "behaviour.value: first_seen needs it", id="missing"),
        pytest.param("rate", {"learning": 14}, "behaviour.learning: want a span", id="number"),
        pytest.param("rate", {"learning": "3d"}, "must be from 7 to 84, in whole days", id="short"),
        pytest.param("dormant", {"asleep": "36h"}, "in whole days", id="half a day"),
        pytest.param("rate", {"factor": "6"}, "behaviour.factor: want a number", id="text"),
        pytest.param("rate", {"factor": float("nan")}, "want a number", id="not a number"),
        pytest.param("rate", {"factor": 0}, "must be from 1 to 100", id="factor of none"),
        pytest.param("rate", {"count_min": 1.5}, "want a whole number", id="half an event"),
        pytest.param("risk", {"group": []}, "behaviour.group: want 1 to 8 names", id="no group"),
        pytest.param("risk", {"group": ["user", "user"]}, "names a field twice", id="twice"),
        pytest.param("risk", {"group": [None]}, "want the name of a field", id="null"),
        pytest.param("risk", {"rule_max": True}, "want a number", id="bool"),
        pytest.param(
            "impossible_travel", {"ignore_countries": ["Germany"]}, "two letters", id="country"
        ),
        pytest.param("impossible_travel", {"vpn_asns": ["AS1"]}, "networks (ASN)", id="asn"),
        pytest.param("dormant", {"asleep": "60d", "forget": "60d"}, "longer than", id="forget"),
    ],
)
def test_fault_is_named_with_its_cure(kind: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="behaviour") as refused:
        parse_behaviour(kind, given)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "span_ms"),
    [("90s", 90_000), ("15m", 900_000), ("24h", DAY), ("14d", 14 * DAY), ("2w", 14 * DAY)],
)
def test_span_is_read(text: str, span_ms: int) -> None:
    assert parse_span(text) == span_ms


@pytest.mark.parametrize(
    "text", ["", "5", "m", "-5m", "1.5h", "5 m", "5M", "1234567d", "٣d", None, 5]
)
def test_what_is_no_span_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="such as 15m"):
        parse_span(text)


@pytest.mark.parametrize(
    ("span_ms", "text"),
    [
        (DAY, "1 day"),
        (36 * 3_600_000, "36 hours"),
        (90_000, "90 seconds"),
        (15 * 60_000, "15 minutes"),
        (1_500, "1.5 seconds"),
    ],
)
def test_span_is_said_in_the_largest_whole_unit(span_ms: int, text: str) -> None:
    assert spell_span(span_ms) == text
