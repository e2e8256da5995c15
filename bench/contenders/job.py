"""What every contender is told, and the work that it does on each message."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from schemas.event import Event

Judge = Callable[[Any, Any, int, int, int], bytes]  # key, value, partition, offset, ms
Work = Literal["none", "validate", "all"]
WHOLE: Final = "bench.contenders.whole"
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


def judge(work: Work) -> Judge:
    """Return the work as a function of key, value, partition, offset and time (ms)."""
    if work == "none":
        return lambda _key, value, _partition, _offset, _time_ms: value
    if work == "validate":
        check = Event.model_validate_json

        def validate(_key: bytes, value: bytes, _partition: int, _offset: int, _ms: int) -> bytes:
            check(value)
            return value

        return validate
    # only this work needs all that the pipeline needs
    judge_all: Judge = importlib.import_module(WHOLE).whole_judge()
    return judge_all
