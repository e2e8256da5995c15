"""What the fenced commit believes of aiokafka's insides: a release that changes it fails here."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.structs import OffsetAndMetadata

from consumers.sink.group import Generation, commit, generation_of
from consumers.sink.intent import Position
from schemas.errors import Fenced


class FakeCoordinator:
    """As much of a coordinator as a commit touches; it never answers."""

    group_id = "sinks"
    coordinator_id = 0
    member_id = "member-1"

    def __init__(self) -> None:
        self.generation = 1
        self.sent: list[Any] = []
        self._commit_lock = asyncio.Lock()

    async def ensure_coordinator_known(self) -> None:
        """Another generation begins while we wait."""
        self.generation += 1

    async def _send_req(self, request: Any) -> Any:
        self.sent.append(request)
        await asyncio.Event().wait()


async def test_commit_is_built_before_its_first_wait() -> None:
    fake = FakeCoordinator()
    told = {TopicPartition("records", 0): OffsetAndMetadata(5, "{}")}
    running = GroupCoordinator._do_commit_offsets(fake, None, told)
    running.send(None)
    fake.generation = 2
    running.close()

    assert len(fake.sent) == 1
    assert "1" in repr(fake.sent[0].__dict__.values())
    assert "member-1" in repr(fake.sent[0].__dict__.values())


async def test_commit_of_a_generation_that_ended_meanwhile_is_not_sent() -> None:
    fake = FakeCoordinator()
    consumer = SimpleNamespace(_coordinator=fake)
    pinned = generation_of(consumer)
    assert pinned == Generation(1, "member-1")
    with pytest.raises(Fenced):
        await commit(consumer, "records", 0, Position(5, "inc", 5), pinned)

    assert fake.sent == []


def test_coordinator_has_what_the_fenced_commit_uses() -> None:
    for name in ("ensure_coordinator_known", "_do_commit_offsets"):
        assert callable(getattr(GroupCoordinator, name))
