"""Canaries in the stages: true ones are marked to the end, forged ones are as real as any."""

from typing import Any

import orjson
import pytest

from cli.rules_shared import load
from detections.sigma.detector import SigmaDetector
from detections.stateful.extractor import Extractor
from pipeline.enrich import Terms
from pipeline.run import Output, Run
from pipeline.stage import Stage
from schemas.alert import Alert
from schemas.canary import CANARY, FORGED, RULE, TENANT, event_name, is_run_tenant, sign
from schemas.signal import decode
from tests.unit.pipeline.judging import INCARNATION, LOOKUPS, RECORDED_MS, Raw
from tests.unit.pipeline.test_stage2 import ruleset
from tests.unit.pipeline.test_stage_signals import FAILURE

KEY = b"key of the test"
OTHER = {"action": "data.export.completed", "details": {"record_count": 5_000}}


def canary(rule: str = "three", **fields: Any) -> dict[str, Any]:
    event = {**FAILURE, "tenant": TENANT, "event_id": event_name("r-1", 0), **fields}
    return event | {"details": {**event.get("details", {}), RULE: rule}}


def stage_of(rules: Any, key: bytes = KEY) -> Stage:
    made = Stage(LOOKUPS, SigmaDetector(rules), lambda _topic: INCARNATION, Terms(canary_key=key))
    made.use_detector(SigmaDetector(rules), Extractor(rules))
    return made


def run(stage: Stage, *events: dict[str, Any]) -> Output:
    raws = [Raw(at, RECORDED_MS, None, orjson.dumps(event)) for at, event in enumerate(events)]
    return stage(Run("audit.events", 3, 0, raws))


def flags_of(output: Output) -> list[str]:
    return list(orjson.loads(output.records[0].value).get("flags", ()))


def test_true_one_is_flagged_and_forged_one_otherwise() -> None:
    stage = stage_of(ruleset())
    assert CANARY in flags_of(run(stage, sign(KEY, canary())))
    forged = (canary(), sign(b"other", canary()), sign(KEY, canary()) | {"user": "mallory"})
    for event in forged:
        flags = flags_of(run(stage, event))
        assert FORGED in flags
        assert CANARY not in flags


def test_without_a_key_every_one_is_forged() -> None:
    assert FORGED in flags_of(run(stage_of(ruleset(), b""), sign(b"", canary())))


def test_event_of_another_tenant_gets_no_flag_whatever_it_says() -> None:
    stage = stage_of(ruleset())
    for event in (canary(tenant="acme"), sign(KEY, canary(tenant="acme")), canary(tenant=None)):
        assert not {CANARY, FORGED} & set(flags_of(run(stage, event)))


def test_key_is_named_in_the_versions_and_never_told() -> None:
    one, other = stage_of(ruleset()).versions, stage_of(ruleset(), b"other").versions
    assert one != other
    assert KEY.decode() not in one
    assert KEY.decode() not in repr(Terms(canary_key=KEY))


def test_true_one_is_counted_under_a_tenant_of_its_run_by_its_own_rule_alone() -> None:
    stage = stage_of(ruleset())
    signals = [decode(value) for _, value in run(stage, sign(KEY, canary("three"))).signals]
    assert [signal.rule for signal in signals] == ["three"]
    assert is_run_tenant(signals[0].tenant)
    assert run(stage, sign(KEY, canary("some-single-rule"))).signals == []


def test_forged_one_is_counted_as_real() -> None:
    plain = run(stage_of(ruleset()), canary(tenant="acme")).signals
    signals = [decode(value) for _, value in run(stage_of(ruleset()), canary()).signals]
    assert len(signals) == len(plain) > 1
    assert {signal.tenant for signal in signals} == {TENANT}


@pytest.mark.parametrize(("key", "is_canary"), [(KEY, True), (b"other", False)])
def test_alert_of_a_true_one_alone_is_a_canarys(key: bytes, *, is_canary: bool) -> None:
    stage = stage_of(load(()).ruleset)
    output = run(stage, sign(key, canary("mass-export", **OTHER)))
    alerts = [Alert.model_validate_json(alert.value) for alert in output.alerts]
    assert alerts
    assert all(alert.canary == is_canary and alert.tenant == TENANT for alert in alerts)
