"""Turns of the writers."""

import asyncio

from consumers.sink.turn import Turn


async def test_only_as_many_as_there_are_turns_go_on_at_once() -> None:
    turns = asyncio.Semaphore(1)
    first, second = Turn(turns), Turn(turns)
    await first.begin()
    waiting = asyncio.create_task(second.begin())
    await asyncio.sleep(0)
    assert not waiting.done()
    first.end()
    await waiting

    assert (first.is_ours, second.is_ours) == (False, True)


async def test_turn_is_taken_and_given_back_once() -> None:
    turns = asyncio.Semaphore(1)
    turn = Turn(turns)
    await turn.begin()
    await turn.begin()
    turn.end()
    turn.end()

    await asyncio.wait_for(turns.acquire(), 1)
    assert turns.locked()
