import pytest

from pipeline.moment import add_years, retain_until, stamp, to_rfc3339
from schemas.errors import BadEvent
from schemas.moment import parse


@pytest.mark.parametrize(
    ("text", "spelled", "ms"),
    [
        ("2025-10-11T14:23:15Z", "2025-10-11 14:23:15", 1_760_192_595_000),
        ("2025-10-11 14:23:15Z", "2025-10-11 14:23:15", 1_760_192_595_000),
        ("2025-10-11t14:23:15z", "2025-10-11 14:23:15", 1_760_192_595_000),
        ("2025-10-11T14:23:15.5Z", "2025-10-11 14:23:15.500000", 1_760_192_595_500),
        ("2025-10-11T14:23:15.123456Z", "2025-10-11 14:23:15.123456", 1_760_192_595_123),
        ("2025-10-11T14:23:15.123456789Z", "2025-10-11 14:23:15.123456", 1_760_192_595_123),
        ("2025-10-11T16:23:15+02:00", "2025-10-11 14:23:15", 1_760_192_595_000),
        ("2025-10-11T00:00:00+05:45", "2025-10-10 18:15:00", 1_760_120_100_000),
        ("2025-10-11T14:23:15-00:00", "2025-10-11 14:23:15", 1_760_192_595_000),
        ("2016-12-31T23:59:60Z", "2017-01-01 00:00:00", 1_483_228_800_000),
        ("1970-01-01T00:00:00Z", "1970-01-01 00:00:00", 0),
        ("1900-01-01T00:00:00Z", "1900-01-01 00:00:00", -2_208_988_800_000),
        ("2299-12-31T23:59:59Z", "2299-12-31 23:59:59", 10_413_791_999_000),
        ("2024-02-29T12:00:00Z", "2024-02-29 12:00:00", 1_709_208_000_000),
    ],
)
def test_times_are_spelled_in_utc_to_the_microsecond(text: str, spelled: str, ms: int) -> None:
    assert parse(text) == (spelled, ms)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1899-12-31T23:59:59Z", "out_of_range"),
        ("2300-01-01T00:00:00Z", "out_of_range"),
        ("1900-01-01T00:00:00+00:01", "out_of_range"),
        ("2299-12-31T23:59:59-00:01", "out_of_range"),
        ("0001-01-01T00:00:00+14:00", "out_of_range"),
        ("9999-12-31T23:59:59-14:00", "out_of_range"),
        ("9999-12-31T23:59:60Z", "out_of_range"),
        ("2025-02-30T00:00:00Z", "invalid"),
        ("2025-13-01T00:00:00Z", "invalid"),
        ("2025-10-11T24:00:00Z", "invalid"),
        ("2025-10-11T14:61:00Z", "invalid"),
        ("2025-10-11T14:23:61Z", "invalid"),
        ("2025-10-11T14:23:15+24:00", "invalid"),
    ],
)
def test_times_that_cannot_be_are_refused_by_name(text: str, kind: str) -> None:
    with pytest.raises(BadEvent) as caught:
        parse(text)
    assert caught.value.reason == f"timestamp:{kind}"


@pytest.mark.parametrize(
    ("recorded_ms", "spelled"),
    [
        (1_760_192_600_123, "2025-10-11 14:23:20.123"),
        (1_760_192_600_000, "2025-10-11 14:23:20.000"),
        (-1, "1970-01-01 00:00:00.000"),
        (2**62, "2299-12-31 23:59:59.999"),
    ],
)
def test_stamps_have_milliseconds_and_are_clamped(recorded_ms: int, spelled: str) -> None:
    assert stamp(recorded_ms) == spelled


@pytest.mark.parametrize(
    ("date", "years", "expected"),
    [
        ("2025-10-11", 6, "2031-10-11"),
        ("2024-02-29", 1, "2025-03-01"),
        ("2024-02-29", 4, "2028-02-29"),
        ("2096-02-29", 4, "2100-03-01"),
        ("1996-02-29", 4, "2000-02-29"),
    ],
)
def test_years_are_added_never_shortening(date: str, years: int, expected: str) -> None:
    assert add_years(date, years) == expected


def test_retention_counts_from_the_recorded_day() -> None:
    assert retain_until(1_760_192_600_123 // 86_400_000, 6) == "2031-10-11"
    assert retain_until(0, 1) == "1971-01-01"


def test_rfc3339_is_the_way_back() -> None:
    assert to_rfc3339("2025-10-11 14:23:15.5") == "2025-10-11T14:23:15.5Z"
