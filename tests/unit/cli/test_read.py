"""cli/read.py: what it offers is what the service knows."""

from http import HTTPStatus
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from cli import read
from cli.client import Refused
from cli.read import CATEGORIES, _widen, show
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


class Nothing:
    """An API that has no such event and no such alert."""

    def get(self, _path: str, _params: Any = None) -> Any:
        raise Refused("not found", HTTPStatus.NOT_FOUND)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("ab" * 16, "a rule that only feeds others", id="like an alert's"),
        pytest.param("3:17", "no event or alert has that id", id="place"),
    ],
)
def test_id_that_nothing_stored_has_says_what_it_may_be_of(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(read, "open_client", lambda *_: Nothing())
    told = CliRunner().invoke(show, [name])
    assert told.exit_code != 0
    assert said in " ".join(told.output.split())
