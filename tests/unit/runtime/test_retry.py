import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.retry import Backoff, retry_unavailable
from schemas.errors import BrokerUnavailable, Misconfigured, Unavailable
from tests.unit.runtime.fake_clock import FakeClock


class Highest:
    """Dice that always fall on the longest wait."""

    def uniform(self, _a: float, b: float) -> float:
        return b


class Flaky:
    """Fails a number of times, then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "there"


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(0.5, 5.0)
    assert [backoff.ceiling_s(n) for n in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@given(st.floats(0.001, 10), st.floats(10, 1e6), st.integers(0, 100_000), st.integers())
def test_every_wait_lies_between_nothing_and_the_ceiling(
    initial_s: float, max_s: float, attempt: int, seed: int
) -> None:
    backoff = Backoff(initial_s, max_s)
    wait_s = backoff.wait_s(attempt, Random(seed))
    assert 0 <= wait_s <= backoff.ceiling_s(attempt) <= backoff.ceiling_s(attempt + 1) <= max_s


async def test_what_is_unavailable_is_tried_until_it_answers() -> None:
    clock, call = FakeClock(), Flaky(3, BrokerUnavailable("away"))
    waits: list[float] = []
    got = await retry_unavailable(
        call,
        backoff=Backoff(1, 60),
        deadline_s=None,
        on_retry=lambda _error, wait_s: waits.append(wait_s),
        clock=clock,
        rng=Highest(),
        sleep=clock.sleep,
    )
    assert (got, call.calls, waits) == ("there", 4, [1, 2, 4])


async def test_a_wait_past_the_deadline_is_not_begun() -> None:
    clock, call = FakeClock(), Flaky(100, BrokerUnavailable("away"))
    with pytest.raises(Unavailable):
        await retry_unavailable(
            call,
            backoff=Backoff(1, 60),
            deadline_s=10,
            clock=clock,
            rng=Highest(),
            sleep=clock.sleep,
        )
    assert (call.calls, clock.monotonic()) == (4, 7.0)  # 1 + 2 + 4; 8 more would be 15


async def test_nothing_is_tried_again_once_it_is_not_wanted() -> None:
    wanted, call = itertools.chain([True, False]), Flaky(100, BrokerUnavailable("away"))
    clock = FakeClock()
    with pytest.raises(Unavailable):
        await retry_unavailable(
            call,
            backoff=Backoff(1, 60),
            deadline_s=None,
            is_wanted=lambda: next(wanted),
            clock=clock,
            sleep=clock.sleep,
        )
    assert call.calls == 2


@pytest.mark.parametrize("error", [Misconfigured("no"), ValueError("bug")])
async def test_other_errors_pass_at_once(error: Exception) -> None:
    call = Flaky(100, error)
    with pytest.raises(type(error)):
        await retry_unavailable(call, backoff=Backoff(1, 60), deadline_s=None)
    assert call.calls == 1
