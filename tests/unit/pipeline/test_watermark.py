"""Up to when everything was seen: never more than is true, and silence holds nobody up for ever."""

from pipeline.clocks import Clocks
from pipeline.watermark import Watermark
from tests.unit.runtime.fake_clock import FakeClock


def clock(incarnation: str = "one", sources: int = 2, **clocks: int) -> Clocks:
    told = {name.removeprefix("p"): ms for name, ms in clocks.items()}
    return Clocks(incarnation, sources, told)


def made(idle_s: float = 300.0) -> tuple[Watermark, FakeClock]:
    time = FakeClock()
    return Watermark(time.monotonic, idle_s), time


def test_slowest_source_decides() -> None:
    mark, _ = made()
    mark.hear(clock(p0=100, p1=50))
    assert mark.reach() == 50
    mark.hear(clock(p1=70))
    assert mark.reach() == 70


def test_time_is_unknown_until_every_source_was_heard() -> None:
    mark, _ = made()
    assert mark.reach() is None
    mark.hear(clock(p0=100))
    assert mark.reach() is None
    mark.hear(clock(p1=90))
    assert mark.reach() == 90


def test_time_never_goes_back() -> None:
    mark, _ = made()
    mark.hear(clock(p0=100, p1=100))
    assert mark.reach() == 100
    mark.hear(clock(p0=90))
    mark.hear(clock(sources=3, p2=10))
    assert mark.reach() == 100


def test_source_of_which_nothing_is_heard_is_left_out_after_a_while() -> None:
    mark, time = made(idle_s=300)
    mark.hear(clock(p0=100, p1=100))
    time.advance(200)
    mark.hear(clock(p0=200))
    assert mark.reach() == 100
    time.advance(101)
    assert mark.reach() == 200
    time.advance(1_000)
    assert mark.reach() == 200


def test_source_that_never_speaks_holds_nobody_up_for_ever() -> None:
    mark, time = made(idle_s=300)
    mark.hear(clock(p0=100))
    time.advance(299)
    mark.hear(clock(p0=200))
    assert mark.reach() is None
    time.advance(2)
    assert mark.reach() == 200


def test_clock_that_stands_still_is_silence() -> None:
    mark, time = made(idle_s=300)
    mark.hear(clock(p0=100, p1=50))
    time.advance(301)
    mark.hear(clock(p0=200, p1=50))
    assert mark.reach() == 200


def test_topic_made_anew_ends_the_old_one() -> None:
    mark, _ = made()
    mark.hear(clock(p0=100, p1=50))
    mark.hear(clock("two", p0=200))
    mark.hear(clock("one", p1=60))  # a zombie's
    mark.hear(clock("two", p1=210))
    assert mark.reach() == 200
