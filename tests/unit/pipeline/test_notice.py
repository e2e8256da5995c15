import pytest

from pipeline.notice import fill_runbook

SESSION = "What else did the session do: audit search --session {session_id}"
BOTH = "Is it a habit: audit search --user {user} --resource {resource}"
ASK = "Ask the person."


@pytest.mark.parametrize(
    ("row", "filled"),
    [
        pytest.param(
            {"user": "jane", "resource": "x y", "session_id": "s1"},
            [
                "What else did the session do: audit search --session s1",
                "Is it a habit: audit search --user jane --resource 'x y'",
                ASK,
            ],
            id="all there",
        ),
        pytest.param(
            {"user": "jane", "resource": "x"},
            ["Is it a habit: audit search --user jane --resource x", ASK],
            id="its only value absent",
        ),
        pytest.param({"user": "jane", "session_id": ""}, [ASK], id="one of two absent"),
        pytest.param({}, [ASK], id="nothing there"),
    ],
)
def test_line_that_needs_an_absent_value_is_left_out_whole(
    row: dict[str, str], filled: list[str]
) -> None:
    assert fill_runbook(f"{SESSION}\n{BOTH}\n{ASK}", row).split("\n") == filled


def test_value_of_a_question_mark_is_still_a_value() -> None:
    assert fill_runbook("audit search --user {user}", {"user": "?"}) == "audit search --user '?'"
