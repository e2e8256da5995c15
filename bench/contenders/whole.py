"""The whole of stage 1 as one object, with every lookup and detection on, for any contender."""

from importlib import resources
from typing import Final

from detections.builtin import builtin_rules
from pipeline.client import ClientParser
from pipeline.enrich import Lookups
from pipeline.geo import open_geo
from pipeline.policy import parse_policy
from pipeline.stage import Stage

INCARNATION: Final = "bench"


def whole_stage() -> Stage:
    """Return stage 1 as the pipeline runs it."""
    policy = (resources.files("pipeline") / "policy.yml").read_bytes()
    lookups = Lookups(parse_policy("policy.yml", policy), open_geo(), ClientParser())
    return Stage(lookups, builtin_rules(), lambda _topic: INCARNATION)
