"""A proposed exception is a file that loads, and hides exactly what it names."""

import shlex
from typing import Any

import pytest
import yaml

from console.alerts.exceptions import Asked, exactly, expiry, propose
from console.web.problems import Refused
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile
from schemas.rule import RuleView

NOW_MS = 1_760_300_000_000  # 2025-10-12
IDENTITY = "5f0c2e52-6b1e-4a39-9f0e-7f6ad0a9c001"
RULE = """\
title: Login
id: 0833239b-e81d-5778-a2ce-426e794c93b3
name: login
logsource: {product: dutycall, category: authentication}
detection:
  selection: {action: authentication.login.success}
  condition: selection
level: low
"""
VIEW = RuleView(
    rule_id="login",
    title="Login",
    kind="event",
    severity="low",
    version=1,
    risk=0,
    excepts="login",
    logsource={"product": "dutycall", "category": "authentication"},
)


def asked(**fields: Any) -> Asked:
    given: dict[str, Any] = {
        "where": {"user": "jane"},
        "owner": "ann",
        "reason": "a drill",
        "expires": "2025-12-31",
        "tenant": "",
    }
    return Asked(**{**given, **fields})


@pytest.mark.parametrize(
    "value", ["jane", "jane*", "a?b", "a\\b", "a: b", "- x", "null", "2025-01-01", "ü 'x' \"y\""]
)
def test_what_is_proposed_loads_as_an_exception_of_the_rule(value: str) -> None:
    made = propose(VIEW, asked(where={"user": value, "resource": "r"}, tenant="acme"), IDENTITY)
    loaded = load_rules([RuleFile("r.yml", RULE)], exceptions=[RuleFile("e.yml", made.text)])
    assert loaded.refusals == ()
    (one,) = loaded.exceptions
    assert (one.owner, one.reason, one.expires, one.tenant) == (
        "ann",
        "a drill",
        "2025-12-31",
        "acme",
    )
    assert yaml.safe_load(made.text)["detection"]["selection"]["user"] == exactly(value)


def test_the_command_says_the_same_as_the_file() -> None:
    made = propose(VIEW, asked(where={"user": "o'neil *", "action": "a.b"}), IDENTITY)
    words = shlex.split(made.command)
    assert words[:4] == ["audit", "rules", "except", "login"]
    lines = [words[at + 1] for at, word in enumerate(words) if word == "--where"]
    selection: dict[str, str] = {}
    for line in lines:
        selection |= yaml.safe_load(line)
    assert selection == yaml.safe_load(made.text)["detection"]["selection"]
    assert made.path == "exceptions/login_5f0c2e52.yml"


def test_wildcards_of_a_value_stand_for_themselves() -> None:
    assert exactly("a*b?c\\d") == "a\\*b\\?c\\\\d"


def test_without_a_field_or_for_a_rule_of_rules_nothing_is_proposed() -> None:
    with pytest.raises(Refused, match="would hide all"):
        propose(VIEW, asked(where={}), IDENTITY)
    of_rules = VIEW.model_copy(update={"excepts": None, "made_of": ("a", "b")})
    with pytest.raises(Refused) as caught:
        propose(of_rules, asked(), IDENTITY)
    assert "a, b" in caught.value.cure


@pytest.mark.parametrize("text", ["2025-10-12", "2025-10-11", "2026-10-14", "soon", ""])
def test_an_end_that_is_past_too_far_or_no_day_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        expiry(text, NOW_MS)


@pytest.mark.parametrize("text", ["2025-10-13", "2026-10-13"])
def test_an_end_from_tomorrow_to_a_year_and_a_day_ahead_is_taken(text: str) -> None:
    assert expiry(text, NOW_MS) == text
