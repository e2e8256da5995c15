"""A flood of alerts leaves the log to the errors."""

from consumers.alerts.service import SHOWN_A_SECOND_MAX, Shown


def test_few_alerts_are_all_shown() -> None:
    shown = Shown()
    assert [shown.lines(str(n), n / 5) for n in range(20)] == [[str(n)] for n in range(20)]


def test_of_a_flood_ten_a_second_are_shown_and_the_others_counted() -> None:
    shown = Shown()
    told = [line for n in range(3_000) for line in shown.lines(f"alert {n}", 7 + n / 1_000)]
    assert len(told) == 3 * SHOWN_A_SECOND_MAX + 2
    assert told[10] == told[21] == "990 more alerts, see `audit alerts`"
    assert told[11] == "alert 1000"


def test_how_many_were_held_back_is_told_once_with_the_next_line() -> None:
    shown = Shown()
    for n in range(12):
        shown.lines(str(n), 1.5)
    assert shown.lines("late", 60.0) == ["2 more alerts, see `audit alerts`", "late"]
    assert shown.lines("later", 120.0) == ["later"]
