"""The buffer: room is given in turn, and never more than there is."""

import asyncio

import pytest

from producers.lane import Budget, Lane, Parcel, Receipt, Stale
from producers.message import Message

RECEIPT = Receipt("t", 0, 1, 2)


async def test_who_waits_longest_gets_room_first() -> None:
    budget = Budget(bytes_max=10, events_max=10)
    assert budget.try_take(8, 1)
    order: list[str] = []

    async def take(name: str, size: int) -> None:
        await budget.take(size, 1, timeout_s=5)
        order.append(name)

    waiting = [asyncio.create_task(take("large", 9)), asyncio.create_task(take("small", 1))]
    await asyncio.sleep(0)
    assert not budget.try_take(1, 1), "it would overtake"
    budget.give(8, 1)
    await asyncio.gather(*waiting)
    assert order == ["large", "small"]


async def test_waiting_ends_at_the_deadline_and_takes_nothing() -> None:
    budget = Budget(bytes_max=10, events_max=1)
    assert budget.try_take(1, 1)
    with pytest.raises(TimeoutError):
        await budget.take(1, 1, timeout_s=0.01)
    budget.give(1, 1)
    assert budget.events_used == 0
    assert budget.try_take(10, 1)


async def test_share_leaves_room_for_those_that_matter() -> None:
    budget = Budget(bytes_max=10, events_max=10)
    assert budget.try_take(5, 1, share=0.5)
    assert not budget.try_take(1, 1, share=0.5)
    assert budget.try_take(5, 1)


async def test_parcel_wakes_its_caller_after_the_last_outcome() -> None:
    done = asyncio.get_running_loop().create_future()
    parcel = Parcel([Message(None, b"a"), Message(None, b"b")], done)
    parcel.settle(1, RECEIPT)
    assert not done.done()
    parcel.settle(0, RECEIPT)
    assert done.done()


async def test_stale_entries_are_swept_in_bulk() -> None:
    lane = Lane(0)
    parcel = Parcel([Message(None, b"a")] * 3_000, None)
    lane.waiting.extend((parcel, index) for index in range(3_000))
    stale = Stale()
    for index in range(2_000):
        parcel.messages[index] = None
        stale.add(1, [lane])
    assert len(lane.waiting) < 3_000
    assert sum(parcel.messages[i] is not None for _, i in lane.waiting) == 1_000
