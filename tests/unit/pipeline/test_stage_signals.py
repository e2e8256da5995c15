"""What stage 1 tells rules with a memory: the same for the same run, and nothing secret."""

import orjson
import pytest

from detections.sigma.detector import SigmaDetector
from detections.stateful.extractor import Extractor
from pipeline.run import Output, Run
from pipeline.stage import Stage, Where
from schemas.record import ACCEPTED
from schemas.signal import decode, key_of
from tests.unit.pipeline.judging import INCARNATION, LOGIN, LOOKUPS, RECORDED_MS, Raw
from tests.unit.pipeline.test_stage2 import ruleset

FAILURE = LOGIN | {
    "action": "authentication.login.failure",
    "timestamp": "2025-10-11T15:46:40Z",
    "resource": "token=abcdef1234567890abcdef",
}


@pytest.fixture
def stage() -> Stage:
    rules = ruleset()
    made = Stage(LOOKUPS, SigmaDetector(rules), lambda _topic: INCARNATION)
    made.use_detector(SigmaDetector(rules), Extractor(rules))
    return made


def test_what_is_not_told_is_counted_by_why(stage: Stage) -> None:
    late = orjson.dumps(FAILURE | {"timestamp": "2025-10-11T14:46:40Z"})
    stage(Run("audit.events", 3, 0, [Raw(0, RECORDED_MS, None, late)]))
    run(stage, "jane")
    assert stage.tally.untold == {"late": 1}


def run(stage: Stage, *users: str) -> Output:
    events = [orjson.dumps(FAILURE | {"user": user}) for user in users]
    raws = [Raw(at, RECORDED_MS, None, event) for at, event in enumerate(events)]
    return stage(Run("audit.events", 3, 0, raws))


def test_run_tells_each_group_once_with_all_its_entries(stage: Stage) -> None:
    signals = run(stage, "jane", "bob", "jane").signals
    found = {(s.rule, s.group): s for s in map(decode, (value for _, value in signals))}
    assert len(found) == len(signals) == 4  # two rules of two users
    jane = found["three", ("jane",)]
    assert [entry[0] for entry in jane.entries] == [0, 2]
    assert (jane.incarnation, jane.partition) == (INCARNATION, 3)
    assert all(key == key_of(decode(value)) for key, value in signals)
    assert stage.tally.signals == 4


def test_same_run_tells_the_same_again(stage: Stage) -> None:
    assert run(stage, "jane", "bob").signals == run(stage, "jane", "bob").signals


def test_signals_hold_no_secret_and_are_bounded(stage: Stage) -> None:
    for _, value in run(stage, "jane", "x" * 10_000).signals:
        assert b"abcdef1234567890" not in value
        assert len(value) < 2_000


def test_rules_are_changed_between_two_runs(stage: Stage) -> None:
    before = stage.versions
    stage.use_detector(SigmaDetector(ruleset()))
    assert run(stage, "jane").signals == ()
    assert stage.versions == before  # the same rules


def test_replay_of_one_message_tells_nothing() -> None:
    stage = Stage(LOOKUPS, SigmaDetector(ruleset()), lambda _topic: INCARNATION)
    where = Where(INCARNATION, "audit.events", 3, 1)
    assert stage.judge(orjson.dumps(FAILURE), where, RECORDED_MS).kind == ACCEPTED
    assert stage.tally.signals == 0
