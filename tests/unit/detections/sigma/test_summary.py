"""Sentences from templates: tidy when the event tells less than the rule hoped."""

from typing import Any

import pytest

from detections.sigma.summary import VALUE_LENGTH_MAX, names_in, to_say
from detections.sigma.view import texts_of
from tests.sigma_corpus import UNKNOWN


def say(template: str, **fields: Any) -> str:
    return to_say(template, lambda name: lambda doc, _derived: texts_of(doc.get(name)))(
        fields, UNKNOWN
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{a} did it.", "x did it."),
        ("{a} failed from {b}.", "x failed."),
        ("{a} failed from {b} on {a}.", "x failed on x."),
        ("{a} exported {n:,} rows of {b} to {a}.", "x exported 1,523 rows to x."),
        ("{a} ({b}) did it.", "x did it."),
        ('{a} renamed to "{b}" today.', "x renamed today."),
        ("{b} {b}.", "."),
        ("No blanks, {} and {1} stay.", "No blanks, {} and {1} stay."),
        ("{many}", "1, 2, 3, 4, 5 …"),
        ("{a:,} and {f:,}", "x and 0.5"),
    ],
)
def test_what_the_event_does_not_tell_is_left_out_tidily(template: str, said: str) -> None:
    assert say(template, a="x", n=1523, f=0.5, many=[1, 2, 3, 4, 5, 6]) == said


def test_values_are_bounded() -> None:
    assert len(say("{a}", a="x" * 10_000)) == VALUE_LENGTH_MAX


def test_values_are_never_read_as_templates() -> None:
    assert say("{a}", a="{b} from {c}", b="secret") == "{b} from {c}"


def test_names_in_a_template_are_found_once() -> None:
    assert names_in("{user} and {details.rows:,} and {user}") == ("user", "details.rows")
