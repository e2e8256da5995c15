"""cli/read.py: what it offers is what the service knows."""

from collections.abc import Iterator
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


class Wrong:
    """An API that can't read a query."""

    def __init__(self, place: tuple[int, int] | None = (2, 3)) -> None:
        self.place = place
        self.asked: dict[str, Any] = {}

    def pages(self, _path: str, _key: str, params: Any, _limit: int) -> Any:
        self.asked = {name: value for name, value in params.items() if value is not None}
        return self._refuse()

    def _refuse(self) -> Iterator[dict[str, Any]]:
        yield from ()
        raise Refused("unknown field 'usr'. did you mean user?", HTTPStatus.BAD_REQUEST, self.place)


def told(monkeypatch: pytest.MonkeyPatch, api: Wrong, *words: str) -> Any:
    monkeypatch.setattr(read, "open_client", lambda *_: api)
    return CliRunner().invoke(read.search, list(words))


def test_error_of_a_query_points_at_the_character(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = told(monkeypatch, Wrong(), "a usr:x")
    assert answer.exit_code == 2
    assert answer.output.splitlines() == [
        "audit: unknown field 'usr'. did you mean user?",
        "  a usr:x",
        "    ^^^",
    ]


def test_error_without_a_place_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "^" not in told(monkeypatch, Wrong(None), "a usr:x").output


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        pytest.param(["user:jane -result:success"], {"q": "user:jane -result:success"}, id="one"),
        pytest.param(["-result:success"], {"q": "-result:success"}, id="minus first"),
        pytest.param(
            ["user:jane", "--since", "7d", "-ip:::1"],
            {"q": "user:jane -ip:::1", "since": "7d"},
            id="words and options",
        ),
        pytest.param([], {}, id="nothing"),
        pytest.param(["  "], {}, id="blank"),
    ],
)
def test_words_are_the_query_and_options_narrow_it(
    monkeypatch: pytest.MonkeyPatch, words: list[str], asked: dict[str, str]
) -> None:
    api = Wrong(None)
    told(monkeypatch, api, *words)
    assert api.asked == asked


def test_misspelt_option_is_no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = told(monkeypatch, Wrong(), "--usr=jane")
    assert answer.exit_code == 2
    assert "No such option: --usr" in answer.output
    assert "--user" in answer.output


@pytest.mark.parametrize(
    ("query", "place", "lines"),
    [
        pytest.param("größe usr:x", (6, 3), ["  größe usr:x", "        ^^^"], id="umlauts"),
        pytest.param("日本 usr:x", (3, 3), ["  日本 usr:x", "       ^^^"], id="wide characters"),
        pytest.param("\x1b usr:x", (2, 3), ["  \\x1b usr:x", "       ^^^"], id="escape"),
        pytest.param("a", (1, 1), ["  a", "   ^"], id="at the end"),
        pytest.param("x" * 100 + "!", (100, 1), ["  " + "x" * 60 + "!", " " * 62 + "^"], id="long"),
    ],
)
def test_caret_stands_under_the_character(
    query: str, place: tuple[int, int], lines: list[str]
) -> None:
    assert read.pointed(query, *place).split("\n") == lines


def test_help_names_the_page_on_the_language() -> None:
    assert "docs/search.md" in CliRunner().invoke(read.search, ["--help"]).output


def test_hint_of_a_query_that_finds_nothing() -> None:
    assert "ask for less in the query" in _widen({"q": "user:x", "user": None})
