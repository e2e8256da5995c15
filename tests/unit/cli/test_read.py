"""cli/read.py: what it offers is what the service knows."""

from typing import get_args

import pytest

from cli.read import CATEGORIES, _widen
from schemas.actions import Category


def test_every_category_can_be_chosen() -> None:
    assert get_args(Category) == CATEGORIES


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        pytest.param({"since": None, "user": None}, "no event yet", id="nothing given"),
        pytest.param({"since": "1h", "user": None}, "put --since further back.", id="since"),
        pytest.param({"since": None, "user": "a"}, "matches: leave an option out", id="user"),
        pytest.param({"since": "1h", "user": "a"}, "back, or leave an option", id="both"),
    ],
)
def test_hint_names_only_what_was_given(filters: dict[str, str | None], said: str) -> None:
    assert said in _widen(filters)
