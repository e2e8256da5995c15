"""Which facts tell the rules, and what every match of a regex contains."""

import pytest

from detections.sigma.literals import literals_of_regex
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or
from detections.sigma.witness import Prices, Witness


def equals(field: str, *texts: str) -> Leaf:
    return Leaf(field, "equals", frozenset(texts))


@pytest.mark.parametrize(
    ("pattern", "literals"),
    [
        (r"foobar", ["foobar"]),
        (r"^foo.*barbaz$", ["barbaz"]),
        (r"foo\.bar", ["foo.bar"]),
        (r"fooba[rz]qux", ["fooba"]),
        (r"(?:abcdef)?ghi", ["ghi"]),
        (r"(abcdef)?ghi", ["ghi"]),
        (r"abcd?efg", ["abc"]),
        (r"abc*defg", ["defg"]),
        (r"abcd{0,3}efg", ["abc"]),
        (r"abcd+efgh", ["abcd"]),
        (r"foo|bar", []),
        (r"(foo|bar)bazqux", ["bazqux"]),
        (r"(?i)FoObAr", ["FoObAr"]),
        (r"(?i)missile", ["ile"]),
        (r"(?i)grüezi", ["ezi"]),
        (r"\x41bcdef", []),
        (r"\bword\b", ["word"]),
        (r"ab", []),
        (r"[]abc]def", ["def"]),
        (r"[[:alpha:]]abcdef", []),
        (r"(?P<n>abc)defg", []),
        (r"\Qa.b\E", []),
        (r"a\\b\/c", ["a\\b/c"]),
    ],
)
def test_literal_of_a_regex_is_in_every_match(pattern: str, literals: list[str]) -> None:
    assert literals_of_regex(pattern) == literals


def test_fact_that_fewest_rules_share_is_taken() -> None:
    rules = [And((equals("name", f"n{n}"), equals("kind", "same"))) for n in range(10)]
    prices = Prices(rules)
    assert prices.choose(rules[3]) == (Witness("is", "name", "n3"),)


def test_or_needs_a_fact_of_every_branch_and_not_gives_none() -> None:
    prices = Prices([])
    both = Or((equals("a", "x"), equals("b", "y")))
    assert set(prices.choose(both)) == {Witness("is", "a", "x"), Witness("is", "b", "y")}
    assert prices.choose(Or((equals("a", "x"), Not(equals("b", "y"))))) == ()
    assert prices.choose(Leaf("a", "null")) == ()
    assert prices.choose(And((Not(equals("a", "x")), equals("b", "y")))) == (
        Witness("is", "b", "y"),
    )


def test_count_of_selections_needs_so_many_facts_that_one_must_show() -> None:
    tree = AtLeast(2, (equals("a", "x"), equals("b", "x"), equals("c", "x")))
    assert len(Prices([tree]).choose(tree)) == 2


def test_empty_text_inside_tells_only_that_the_field_is_there() -> None:
    tree = Leaf("a", "contains", ("", "x"))
    assert Prices([]).choose(tree) == (Witness("present", "a", ""),)
