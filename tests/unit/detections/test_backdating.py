"""Nobody stays unseen by giving events a time of long ago."""

from datetime import UTC, datetime, timedelta
from functools import cache

import orjson
import pytest

from cli.rules_shared import load
from detections.sigma.detector import SigmaDetector
from detections.sigma.ruleset import RuleSet
from detections.stateful.alerts import StatefulAlert
from detections.stateful.extractor import Extractor
from detections.stateful.keeper import Keeper
from pipeline.run import Run
from pipeline.stage import Stage
from schemas.signal import decode, key_of
from tests.unit.pipeline.judging import INCARNATION, LOGIN, LOOKUPS, RECORDED_MS, Raw


@cache
def rules() -> RuleSet:
    return load(()).ruleset


def alerts(lag: timedelta, count: int = 1, **fields: str) -> list[StatefulAlert]:
    """Send an event some times, `lag` after the time that it bears; return what stage 2 says."""
    at = datetime.fromtimestamp(RECORDED_MS / 1000, UTC) - lag
    event = orjson.dumps(LOGIN | fields | {"timestamp": at.isoformat()})
    stage = Stage(LOOKUPS, SigmaDetector(rules()), lambda _topic: INCARNATION)
    stage.use_detector(SigmaDetector(rules()), Extractor(rules()))
    raws = [Raw(n, RECORDED_MS + n, None, event) for n in range(count)]
    keeper, states, found = Keeper(rules()), dict[bytes, bytes | None](), []
    for _, value in stage(Run("audit.events", 3, 0, raws)).signals:
        signal = decode(value)
        applied = keeper.apply(signal, states.get(key_of(signal)))
        states[key_of(signal)] = applied.state
        found += [alert for alert in applied.alerts if alert.rule_id.startswith("backdated")]
    return found


@pytest.mark.parametrize("lag", [timedelta(minutes=16), timedelta(hours=25), timedelta(days=400)])
def test_finding_in_a_backdated_event_is_one_page_a_day(lag: timedelta) -> None:
    (alert,) = alerts(lag, 3, action="security.audit.disabled")
    assert (alert.rule_id, alert.severity) == ("backdated-events", "high")
    assert alert.occurred_ms == alert.recorded_ms == RECORDED_MS  # so it is never historical


def test_finding_in_time_is_none() -> None:
    assert alerts(timedelta(minutes=14), action="security.audit.disabled") == []


def test_backdated_guesses_are_counted_by_the_brokers_time() -> None:
    found = alerts(timedelta(minutes=16), 20, action="authentication.login.failed")
    assert "backdated-failures" in {alert.rule_id for alert in found}
