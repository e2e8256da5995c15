"""What the tests of stage 1 share: the seed's events, fixed lookups, and how one is judged."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from cli.rules_shared import load
from detections.rule import Derived, Fields, Finding, Verdict
from detections.sigma.detector import SigmaDetector
from pipeline.directory import Directory, Person
from pipeline.enrich import Lookups, Terms
from pipeline.geo import Address, Place
from pipeline.lookups import default_policy
from pipeline.run import Output, Run
from pipeline.stage import Stage

INCARNATION = "mXvG0bqmS5e4fXk6yBHzVA"
RECORDED_MS = 1_760_197_600_123  # 2025-10-11 15:46:40.123, a Saturday
DAY_MS = 86_400_000

LOGIN = {
    "timestamp": "2025-10-11T14:23:15Z",
    "user": "jane.doe@company.com",
    "action": "authentication.login.success",
    "ip_address": "203.0.113.42",
    "session_id": "sess_abc123",
    "details": {"method": "sso", "provider": "okta"},
}

EXPORT = {
    "timestamp": "2025-10-11T14:30:00Z",
    "user": "admin@company.com",
    "action": "data.export.completed",
    "resource": "voice_call_records",
    "ip_address": "203.0.113.42",
    "session_id": "sess_xyz789",
    "details": {
        "date_range": "2025-09-01 to 2025-09-30",
        "format": "csv",
        "record_count": 1523,
        "file_size_mb": 12.4,
    },
}

CHANGE = {
    "timestamp": "2025-10-11T15:45:30Z",
    "user": "admin@company.com",
    "action": "settings.retention_policy.updated",
    "resource": "voice_recordings",
    "ip_address": "203.0.113.42",
    "session_id": "sess_xyz789",
    "details": {
        "before": "90 days",
        "after": "180 days",
        "reason": "compliance requirement update",
    },
}

RULES = SigmaDetector(load(()).ruleset)


class Raw(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class FixedGeo:
    """Knows that Google is in America."""

    version = "fixed"

    def locate(self, address: Address) -> Place:
        return Place("US", 15169, "GOOGLE") if str(address) == "8.8.8.8" else Place()


class FixedClients:
    version = "fixed"

    def parse(self, user_agent: str) -> str:
        return user_agent.partition("/")[0]


class Plain:
    """A detector that feeds no rule with a memory."""

    version = "plain"

    def detect(self, _fields: Fields, _derived: Derived) -> Sequence[Finding]:
        return ()

    def judge(self, fields: Fields, derived: Derived) -> Verdict:
        return Verdict(self.detect(fields, derived), ())


class Silent(Plain):
    """Finds nothing."""

    version = "silent"


LOOKUPS = Lookups(
    default_policy(),
    FixedGeo(),
    FixedClients(),
    Directory({"jane.doe@company.com": Person("agent", "support", "active")}, "d1"),
)


def make_stage(detector: Any = None, **terms: Any) -> Stage:
    return Stage(LOOKUPS, detector or RULES, lambda _topic: INCARNATION, Terms(**terms))


def run_one(stage: Stage, event: dict[str, Any] | bytes | None, offset: int = 41) -> Output:
    value = orjson.dumps(event) if isinstance(event, dict) else event
    return stage(Run("audit.events", 2, offset, [Raw(offset, RECORDED_MS, b"k", value)]))


def row_of(stage: Stage, event: dict[str, Any] | bytes | None) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(run_one(stage, event).records[0].value)
    return row


PLACE = {
    "incarnation": INCARNATION,
    "topic": "audit.events",
    "partition": 2,
    "offset": 41,
    "recorded": "2025-10-11 15:46:40.123",
}
