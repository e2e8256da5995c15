"""Throttling delays and never drops: what comes too fast goes out together, a little later."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.throttle import Bucket, Rate, Throttle

RATE = Rate(per_minute=6, burst=3)


def test_a_burst_goes_at_once_and_what_follows_waits_for_one_moment() -> None:
    bucket = Bucket(RATE, 0)
    assert [bucket.take(0) for _ in range(6)] == [0, 0, 0, 10_000, 10_000, 10_000]
    assert bucket.take(9_999) == 10_000
    assert bucket.take(10_000) == 20_000  # that moment's token went to those who waited for it


def test_a_quiet_time_gives_the_burst_back_and_no_more() -> None:
    bucket = Bucket(RATE, 0)
    for _ in range(3):
        bucket.take(0)
    assert [bucket.take(3_600_000) - 3_600_000 for _ in range(4)] == [0, 0, 0, 10_000]


def test_no_rate_is_no_limit() -> None:
    throttle = Throttle()
    assert {throttle.take(("rule", "r"), Rate(), 5) for _ in range(1_000)} == {5}


def test_a_bucket_that_was_forgotten_is_full_again() -> None:
    throttle = Throttle(keys_max=1)
    for _ in range(4):
        throttle.take(("a",), RATE, 0)
    throttle.take(("b",), RATE, 0)
    assert throttle.take(("a",), RATE, 0) == 0


@given(
    gaps=st.lists(st.integers(0, 40_000), max_size=200),
    per_minute=st.floats(0.1, 600),
    burst=st.integers(1, 10),
)
def test_messages_never_exceed_the_rate_and_nothing_waits_longer_than_one_token(
    gaps: list[int], per_minute: float, burst: int
) -> None:
    bucket, now_ms = Bucket(Rate(per_minute, burst), 0), 0
    at_once, later = 0, set[int]()
    for gap in gaps:
        now_ms += gap
        when_ms = bucket.take(now_ms)
        assert now_ms <= when_ms <= now_ms + 60_000 / per_minute + 1
        if when_ms == now_ms:
            at_once += 1
        else:
            later.add(when_ms)
    last_ms = max([now_ms, *later])
    assert at_once + len(later) <= burst + last_ms * per_minute / 60_000 + 1


def test_a_clock_that_goes_back_delays_nothing_for_long() -> None:
    bucket = Bucket(RATE, 1_000_000)
    for _ in range(3):
        bucket.take(1_000_000)
    assert bucket.take(0) <= 10_000
