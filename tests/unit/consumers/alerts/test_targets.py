"""Targets: named, checked, and never shown with their URL."""

import pytest
from pydantic import SecretStr

from consumers.alerts.targets import PACE_S_MAX, parse_targets
from schemas.errors import Misconfigured


def read(*urls: str) -> list[str]:
    return [target.name for target in parse_targets([SecretStr(url) for url in urls])]


def test_targets_are_named_by_their_owner_or_by_place_and_kind() -> None:
    assert read("json://h/x?a=b", "ops=slack://AAAAAAAAA/BBBBBBBBB/CCCCCCCCCCCCCCCCCCCCCCCC") == [
        "target-1:json",
        "ops",
    ]


@pytest.mark.parametrize("url", ["", "no url at all", "nosuch://secret", "ops=slack://secret"])
def test_what_apprise_does_not_know_is_refused_without_its_url(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(url)
    assert "secret" not in str(caught.value)
    assert "target-1" in str(caught.value) or "ops" in str(caught.value)


def test_two_targets_of_one_name_are_refused() -> None:
    with pytest.raises(Misconfigured, match="two alert targets are named a"):
        read("a=json://h/1", "a=json://h/2")


def test_a_url_is_not_in_any_representation() -> None:
    (target,) = parse_targets([SecretStr("json://user:secret@host/secret")])
    assert "secret" not in repr(target)
    assert "secret" not in str(target)


def test_a_service_that_wants_pauses_gets_short_ones_one_at_a_time() -> None:
    (slack,) = parse_targets([SecretStr("slack://AAAAAAAAA/BBBBBBBBB/CCCCCCCCCCCCCCCCCCCCCCCC")])
    (hook,) = parse_targets([SecretStr("json://host/x")])
    assert 0 < slack.pace_s <= PACE_S_MAX
    assert slack.parallel == 1
    assert (hook.pace_s, hook.parallel > 1) == (0, True)
