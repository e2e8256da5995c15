"""Details as a tree, raw bytes folded, JSON with its numbers as they were written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.pages import event_view

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_numbers_stay_as_they_were_written() -> None:
    raw = '{"big":123456789012345678901234567890,"f":12.40,"e":1E5,"t":"gr\\u00fcn"}'

    assert event_view.prettied(raw) == (
        '{\n  "big": 123456789012345678901234567890,\n  "f": 12.40,\n  "e": 1E5,\n  "t": "grün"\n}'
    )


@given(value=st.dictionaries(st.text(), JSON))
def test_indents_change_nothing_else(value: dict[str, object]) -> None:
    pretty = event_view.prettied(json.dumps(value))

    assert pretty is not None
    assert json.loads(pretty) == value


@pytest.mark.parametrize("raw", ["", "{", "[" * 100_000, '{"a":' * 5_000 + "1" + "}" * 5_000])
def test_what_can_not_be_read_is_shown_verbatim_only(raw: str) -> None:
    assert event_view.prettied(raw) is None


def test_details_are_names_and_values_at_their_depth() -> None:
    text = '{"method":"sso","items":[{"n":1},{}],"none":null,"ok":true}'
    found = [
        (leaf.depth, leaf.name, leaf.text) for leaf in event_view.tree(text, whole=False).shown
    ]

    assert found == [
        (0, "method", "sso"),
        (0, "items", None),
        (1, "1.", None),
        (2, "n", "1"),
        (1, "2.", "{}"),
        (0, "none", "null"),
        (0, "ok", "true"),
    ]


def test_a_value_of_the_details_leads_to_events_like_it() -> None:
    (leaf,) = event_view.tree('{"format":"csv"}', whole=False).shown

    assert leaf.search == "/search?q=details.format%3Acsv"


def test_a_large_event_is_folded_and_can_be_unfolded() -> None:
    text = json.dumps({f"k{n}": "v" * 40 for n in range(4_000)})
    folded, whole = (event_view.tree(text, whole=all_of_it) for all_of_it in (False, True))

    assert (len(folded.shown), folded.is_cut) == (event_view.LEAVES_MAX, True)
    assert (len(whole.shown), whole.is_cut) == (4_000, False)
    assert event_view.fold(text, whole=False).is_cut
    assert event_view.fold(text, whole=True).shown == text


def test_one_long_value_is_cut_and_said_so() -> None:
    found = event_view.tree(json.dumps({"word": "w" * 10_000}), whole=False)

    assert found.is_cut
    assert len(found.shown[0].text) == event_view.TEXT_MAX + 1


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("authentication.login.success", "Signed in"),
        ("something.quite_new.done", "Something quite new done"),
    ],
)
def test_an_action_is_said_in_words(action: str, words: str) -> None:
    assert event_view.in_words(action) == words
