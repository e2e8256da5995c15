"""The watch over the parts of events."""

from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from consumers.sink.parts import CONDITION, PartsWatch
from runtime.clickhouse import Store
from runtime.health import Readiness
from schemas.errors import StoreUnavailable

LIMIT = 1_000


class FakeStore:
    def __init__(self, *counts: int, is_away: bool = False) -> None:
        self.counts = counts
        self.is_away = is_away

    def query_rows(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        if self.is_away:
            raise StoreUnavailable("away")
        if "system.parts" not in sql:
            assert parameters is None
            return [(str(LIMIT),)]
        return [(count,) for count in self.counts]


async def watched(store: FakeStore) -> tuple[Readiness, float | None]:
    registry, readiness = CollectorRegistry(), Readiness((CONDITION,))
    await PartsWatch(cast(Store, store), registry, readiness, 1.0).round()
    return readiness, registry.get_sample_value("audit_store_event_parts")


@pytest.mark.parametrize(
    ("counts", "is_ready", "most"), [((), True, 0), ((3, 799), True, 799), ((3, 800), False, 800)]
)
async def test_parts_near_the_stores_limit_are_told(
    counts: tuple[int, ...], *, is_ready: bool, most: int
) -> None:
    readiness, shown = await watched(FakeStore(*counts))

    assert (readiness.is_ready, shown) == (is_ready, most)


async def test_store_that_is_away_leaves_the_condition_as_it_was() -> None:
    readiness, _shown = await watched(FakeStore(is_away=True))

    assert [condition.missing for condition in readiness.unmet] == ["not checked yet"]
