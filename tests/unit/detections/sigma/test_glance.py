"""What a glance settles is what asking every rule says, and what it remembers is bounded."""

from itertools import product
from typing import Any, Final

import pytest

from detections.rule import Derived
from detections.sigma import glance
from detections.sigma.compiled import Compiler, interpret
from detections.sigma.glance import Glance, Marks
from detections.sigma.look import Look
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or, Tree
from tests.sigma_corpus import UNKNOWN

TREES: Final[dict[int, Tree]] = {
    0: Leaf("session_id", "filled"),
    1: And((Leaf("user", "contains", ("glass",)), Not(Leaf("details.ticket", "filled")))),
    2: Or((Leaf("details.ticket", "equals", frozenset({"t"})), Leaf("country", "null"))),
    3: Leaf("user", "same_as", ("session_id", False, False)),
    4: AtLeast(2, (Leaf("session_id", "exists"), Leaf("user", "null"), Leaf("country", "filled"))),
    5: And((Leaf("country", "filled"), Leaf("user", "equals", frozenset({"Ann"}), cased=True))),
}
VALUES: Final = (None, "", "t", "Ann", "ann", "glass", ["t", "glass"], 7, {"a": "t"})


def made(trees: dict[int, Tree]) -> Glance:
    compiler = Compiler(trees.values(), is_native=True)
    tests = {number: compiler.compile(tree) for number, tree in trees.items()}
    return Glance((), trees, tests, Marks(trees.values()))


def found(seen: Glance, doc: dict[str, Any], derived: Derived) -> list[int]:
    sure, asked = seen.see(doc, derived)
    look = Look(doc, derived, is_native=True)
    return sorted((*sure, *(number for number, test in asked if test(look))))


def expected(doc: dict[str, Any], derived: Derived) -> list[int]:
    look = Look(doc, derived, is_native=True)
    return [number for number, tree in TREES.items() if interpret(tree, look)]


@pytest.mark.parametrize("kinds_max", [2, 1_000])
def test_glance_settles_only_what_is_so(kinds_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glance, "KINDS_MAX", kinds_max)
    seen = made(TREES)
    for user, session, ticket, country in product(VALUES, VALUES, VALUES, ("", "DE")):
        doc = {"user": user, "session_id": session, "details": {"ticket": ticket}}
        derived = UNKNOWN._replace(country=country)
        assert found(seen, doc, derived) == expected(doc, derived), doc


def test_details_are_looked_at_as_rules_reach_them() -> None:
    trees: dict[int, Tree] = {0: Leaf("details.ticket", "filled")}
    docs: list[dict[str, Any]] = [
        {"details": {"ticket": "t"}},
        {"details": {}},
        {"details.ticket": "t", "details": {}},
        {"details": [{"ticket": "t"}]},
        {"details": "t"},
        {},
    ]
    seen = made(trees)
    for doc in docs * 2:
        assert (found(seen, doc, UNKNOWN) == [0]) is ("t" in str(doc.get("details.ticket"))
            or "ticket" in str(doc.get("details"))), doc  # fmt: skip


def test_rules_that_a_glance_settles_are_asked_no_more() -> None:
    seen = made({0: TREES[1]})
    assert seen.see({"user": "ann"}, UNKNOWN).asked == []
    assert seen.see({"user": "bob", "session_id": "s"}, UNKNOWN).asked == []
