"""Reads of the log leave the action of what was looked at."""

import pytest

from schemas.reads import read_kind


@pytest.mark.parametrize("path", ["/me", "/me/password", "/v1/me", "/me/tokens"])
def test_who_looks_at_their_own_account_is_not_told_of_as_looking_at_people(path: str) -> None:
    assert read_kind(path).action == "audit.me.viewed"


def test_who_looks_at_the_accounts_of_others_is_told_of_as_that() -> None:
    assert read_kind("/people/{name}").action == "audit.people.viewed"
