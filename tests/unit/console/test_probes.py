"""The doctor's probes: what is found decides, and an away part is a failed check, not a crash."""

from typing import Any

import pytest

from console.health.doctor import Diagnosis, examine
from console.health.probes import judge_level, store_probes, target_probe
from schemas.errors import StoreUnavailable

NOW_MS = 1_760_000_000_000


class Answers:
    """A store that answers each question by a word that stands in it."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def query(self, sql: str, *_: object, **__: object) -> list[dict[str, Any]]:
        for word, rows in self._answers.items():
            if word in sql:
                if isinstance(rows, Exception):
                    raise rows
                return list(rows)
        raise AssertionError(sql)


def answers(**changed: Any) -> Answers:
    good: dict[str, Any] = {
        "recorded": [{"n": 5, "least": 400}],
        "deliveries": [],
        "migrations": [{"version": 1}],
        "AS ms": [{"ms": NOW_MS}],
        "AS v": [{"v": "26.9.2.1"}],
    }
    return Answers(**(good | changed))


async def diagnose(store: Answers) -> dict[str, bool]:
    found: Diagnosis = await examine(store_probes(store, lambda: NOW_MS, [1]))  # type: ignore[arg-type]
    return {check.name: check.ok for check in found.checks}


async def test_a_store_that_is_as_it_must_be_passes() -> None:
    assert all((await diagnose(answers())).values())


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        pytest.param({"AS v": [{"v": "25.8.1"}]}, "ClickHouse", id="old version"),
        pytest.param({"migrations": []}, "tables", id="migration missing"),
        pytest.param(
            {"recorded": [{"n": 5, "least": -11_000}]}, "clock of the broker", id="broker ahead"
        ),
        pytest.param(
            {"recorded": [{"n": 5, "least": 61_000}]}, "clock of the broker", id="broker behind"
        ),
        pytest.param(
            {"deliveries": [{"target": "slack", "last": "failed"}]}, "alert targets", id="target"
        ),
        pytest.param({"AS v": StoreUnavailable("away")}, "ClickHouse", id="a store that is away"),
    ],
)
async def test_what_is_wrong_is_named(changed: dict[str, Any], failing: str) -> None:
    assert [name for name, ok in (await diagnose(answers(**changed))).items() if not ok] == [
        failing
    ]


async def test_nothing_stored_lately_is_no_skew() -> None:
    found = await diagnose(answers(recorded=[{"n": 0, "least": 0}]))
    assert found["clock of the broker"]


async def test_no_target_is_told_and_is_no_fault() -> None:
    (check,) = (await examine([target_probe([])])).checks
    assert check.ok
    assert "nobody" in check.found


@pytest.mark.parametrize(
    ("level", "is_ok", "found"),
    [
        pytest.param(21, False, "3.9 (metadata.version 21)", id="the last Kafka 3"),
        pytest.param(22, True, "4.0 (metadata.version 22)", id="the first Kafka 4"),
        pytest.param(27, True, "4.1 (metadata.version 27)", id="4.1"),
        pytest.param(31, True, "newer than 4.3 (metadata.version 31)", id="of the future"),
    ],
)
def test_kafka_is_judged_by_its_number(level: int, *, is_ok: bool, found: str) -> None:
    assert judge_level(level)[:2] == (is_ok, found)


def test_broker_that_tells_no_release_is_a_note_and_no_fault() -> None:
    finding = judge_level(None)
    assert finding.is_ok
    assert finding.is_note
