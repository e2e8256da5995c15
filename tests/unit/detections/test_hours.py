from zoneinfo import ZoneInfo

import pytest

from detections.hours import Hours


@pytest.mark.parametrize(
    ("occurred", "is_off"),
    [
        ("2025-10-10 04:00:00", False),  # 06:00 in Berlin
        ("2025-10-10 03:59:59", True),
        ("2025-10-10 17:59:00", False),
        ("2025-10-10 18:00:00", True),
        ("2025-10-12 22:30:00", True),  # Monday, half past midnight
        ("2025-10-10 22:30:00", True),  # Saturday there, Friday here
    ],
)
def test_hours_are_those_of_the_zone(occurred: str, *, is_off: bool) -> None:
    assert Hours(zone=ZoneInfo("Europe/Berlin")).is_off(occurred) == is_off


def test_hours_must_lie_within_a_day() -> None:
    with pytest.raises(AssertionError):
        Hours(20, 6)
