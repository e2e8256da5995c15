"""The alert: what a detection says of one or more events, under an id that repeats give again."""

import hashlib
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "low", "medium", "high", "critical")
Status = Literal["open", "acknowledged", "resolved", "false_positive"]
STATUSES: Final[tuple[Status, ...]] = ("open", "acknowledged", "resolved", "false_positive")


class Alert(BaseModel):
    """One finding. Times are RFC 3339 in UTC; texts are plain and bounded, never markup.

    `recorded` is the broker's time of the event that completed the finding; an alert whose
    `occurred` lies more than the replay window before it is `historical`: stored and shown,
    never delivered as if it were now. So are those that an exception hides (`suppressed_by` names
    it) and those of a `canary`, which only proves that the path works.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    rule_id: Annotated[str, Field(min_length=1, max_length=128)]
    rule_version: Annotated[int, Field(ge=1)]
    title: Annotated[str, Field(max_length=256)]
    severity: Severity
    tenant: str
    group: str = Field(description="What the rule groups by; for a single event its coordinates.")
    summary: Annotated[str, Field(max_length=1024)]
    runbook: Annotated[str, Field(max_length=2048)] = ""
    tags: tuple[str, ...] = ()
    user: str = ""
    action: str = ""
    resource: str = ""
    ip_address: str = ""
    session_id: str = ""
    event_ids: tuple[str, ...] = Field(default=(), max_length=100)
    event_count: Annotated[int, Field(ge=1)] = 1
    occurred: str
    recorded: str
    historical: bool = False
    why: Annotated[str, Field(max_length=1024, description="Why it matters, for who is paged.")] = (
        ""
    )
    suppressed_by: Annotated[str, Field(max_length=128)] = ""
    rule_set: Annotated[str, Field(max_length=64, description="Version of all rules.")] = ""
    canary: bool = False


def alert_id(rule_id: str, rule_version: int, group: str, first_event: str) -> str:
    """Return the id: the same for the same finding however often it is computed.

    `first_event` names the first event of the window by its coordinates.
    """
    seed = "\x1f".join((rule_id, str(rule_version), group, first_event))
    return hashlib.sha256(seed.encode()).hexdigest()[:32]
