"""What every contender is told, and the work that it does on each message."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from bench.contenders.whole import INCARNATION, whole_stage
from pipeline.stage import Where
from schemas.event import Event
from schemas.topics import EVENTS

Work = Literal["none", "validate", "all"]
COMPRESSION: Final = "zstd"  # for all: what lies on the topics is the same


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a contender."""

    bootstrap: str
    source: str
    target: str
    group: str
    work: Work
    folder: str  # for what it wants to keep on disk
    is_tuned: bool = False

    def argument(self) -> str:
        """Return it as the one argument of a contender's command."""
        return json.dumps(asdict(self))


def job() -> Job:
    """Read the job from the command line."""
    return Job(**json.loads(sys.argv[1]))


def judge(work: Work) -> Callable[[Any, Any, int, int, int], bytes]:
    """Return the work as a function of key, value, partition, offset and time (ms)."""
    if work == "none":
        return lambda _key, value, _partition, _offset, _time_ms: value
    if work == "validate":
        check = Event.model_validate_json

        def validate(_key: bytes, value: bytes, _partition: int, _offset: int, _ms: int) -> bytes:
            check(value)
            return value

        return validate
    stage = whole_stage()

    def judge_all(key: bytes, value: bytes, partition: int, offset: int, ms: int) -> bytes:
        where = Where(INCARNATION, EVENTS, partition, offset)
        return stage.judge(value, where, ms, key).line

    return judge_all
