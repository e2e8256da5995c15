"""The whole of stage 1 as one object, with every lookup and detection on, for any contender."""

from importlib import resources
from typing import Final

from bench.contenders.job import Judge
from cli.detecting import compile_rules
from cli.rule_folder import shipped
from detections.stateful.memory import Terms
from pipeline.client import ClientParser
from pipeline.enrich import Lookups
from pipeline.geo import open_geo
from pipeline.policy import parse_policy
from pipeline.stage import Stage, Where
from schemas.topics import EVENTS

INCARNATION: Final = "bench"


def whole_stage() -> Stage:
    """Return stage 1 as the pipeline runs it."""
    policy = (resources.files("pipeline") / "policy.yml").read_bytes()
    lookups = Lookups(parse_policy("policy.yml", policy), open_geo(), ClientParser())
    rules = compile_rules(shipped(), Terms())
    stage = Stage(lookups, rules.detector, lambda _topic: INCARNATION)
    stage.use_detector(rules.detector, rules.extractor)
    return stage


def whole_judge() -> Judge:
    """Return it as the work of a contender."""
    stage = whole_stage()

    def judge_all(key: bytes, value: bytes, partition: int, offset: int, ms: int) -> bytes:
        return stage.judge(value, Where(INCARNATION, EVENTS, partition, offset), ms, key).line

    return judge_all
