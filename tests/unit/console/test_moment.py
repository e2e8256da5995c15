"""Moments: what people write, and what comes out."""

from datetime import UTC, datetime

import pytest

from console.search.moment import (
    FIRST_US,
    LAST_US,
    microseconds,
    parse_moment,
    rfc3339,
    store_text,
)
from console.web.problems import Refused

NOW_US = 1_760_300_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1970-01-01T00:00:00Z", 0, id="epoch"),
        pytest.param("1970-01-01", 0, id="date"),
        pytest.param("1970-01-01T01:00:00.000001+01:00", 1, id="zone and microsecond"),
        pytest.param("1970-01-01 00:00:00.1234567z", 123_456, id="seven digits"),
        pytest.param("15m", NOW_US - 900_000_000, id="minutes"),
        pytest.param("24h", NOW_US - 86_400_000_000, id="hours"),
        pytest.param("7d", NOW_US - 604_800_000_000, id="days"),
        pytest.param("0001-01-01", FIRST_US, id="before the store's first"),
        pytest.param("9999-12-31", LAST_US, id="after the store's last"),
        pytest.param("999999w", FIRST_US, id="long ago"),
    ],
)
def test_a_moment_is_read(text: str, expected: int) -> None:
    assert parse_moment(text, NOW_US, "since") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "7",
        "7 d",
        "-7d",
        "2025-10-11T14:23:15",
        "2025-13-01",
        "2025-10-11T25:00:00Z",
        "\u0667d",
    ],
)
def test_what_is_no_moment_names_the_field(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_moment(text, NOW_US, "until")
    assert caught.value.field == "until"


def test_a_moment_is_written_without_needless_digits() -> None:
    moment = datetime(2025, 10, 11, 14, 23, 15, tzinfo=UTC)
    assert rfc3339(moment) == rfc3339(microseconds(moment)) == "2025-10-11T14:23:15Z"
    assert rfc3339(microseconds(moment) + 120_000, digits=3) == "2025-10-11T14:23:15.120Z"
    assert rfc3339(FIRST_US) == "1900-01-01T00:00:00Z"
    assert store_text(1) == "1970-01-01 00:00:00.000001"
