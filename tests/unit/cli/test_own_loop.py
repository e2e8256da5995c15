"""A part on a thread of its own: stopped with the others, and heard when it fails."""

import asyncio
import threading

import pytest

from cli.own_loop import run_in_own_loop


async def test_it_runs_on_another_thread_and_ends_when_told() -> None:
    threads: list[int] = []
    stop, begun = asyncio.Event(), threading.Event()

    async def work(theirs: asyncio.Event) -> None:
        threads.append(threading.get_ident())
        begun.set()
        await theirs.wait()

    running = asyncio.create_task(run_in_own_loop(work, stop))
    await asyncio.to_thread(begun.wait, 10)
    assert not running.done()
    stop.set()
    await asyncio.wait_for(running, 10)
    assert threads != [threading.get_ident()]


async def test_what_it_raises_is_raised_here() -> None:
    async def work(_theirs: asyncio.Event) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(run_in_own_loop(work, asyncio.Event()), 10)


async def test_cancelled_before_it_began_it_ends_as_well() -> None:
    ended = threading.Event()

    async def work(theirs: asyncio.Event) -> None:
        await theirs.wait()
        ended.set()

    running = asyncio.create_task(run_in_own_loop(work, asyncio.Event()))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
    assert ended.is_set()


async def test_cancelled_it_lets_the_work_end_first() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work(theirs: asyncio.Event) -> None:
        begun.set()
        await theirs.wait()
        ended.set()

    running = asyncio.create_task(run_in_own_loop(work, asyncio.Event()))
    await asyncio.to_thread(begun.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 10)
    assert ended.is_set()
