"""What a detection is: it looks at one event and what was derived of it, and may find something."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from schemas.alert import Severity

Fields = Mapping[str, Any]


class Derived(NamedTuple):
    """What stage 1 knows of an event beyond its fields; texts are '' where nothing is known."""

    occurred: str  # UTC, "2025-10-11 14:23:15.123456"
    category: str
    verb: str
    result: str  # unknown, success, failure, denied, error
    role: str  # the event's, else the directory's
    department: str
    user_status: str
    country: str
    asn: int
    as_name: str
    client: str
    data_class: str
    is_protected: bool
    has_changes: bool  # the details hold a before or an after
    is_off_hours: bool = False
    changed: tuple[str, ...] = ()  # paths in the details
    flags: tuple[str, ...] = ()
    recorded_ms: int = 0  # the broker's time, which no producer sets; 0: nobody knows


class Finding(NamedTuple):
    """What one rule says of one event. `summary` may quote the event; it is not yet cleaned."""

    rule_id: str
    rule_version: int
    severity: Severity
    title: str
    summary: str
    risk: int
    tags: tuple[str, ...]
    runbook: str
    why: str = ""


class Hidden(NamedTuple):
    """A match that an exception hides. It is counted; what would have been told is kept for search.

    `finding` is None for a rule that only feeds others.
    """

    rule_id: str
    exception_id: str
    finding: Finding | None = None


class Verdict(NamedTuple):
    """What a detector says of one event.

    `hits` are the rules that matched and that some correlation or behaviour refers to, as the
    rule set numbers them.
    """

    findings: Sequence[Finding]
    hits: Sequence[int]
    hidden: Sequence[Hidden] = ()


NOTHING: Final = Verdict((), ())


class Detector(Protocol):
    """What stage 1 calls once an event."""

    @property
    def version(self) -> str:
        """A short text that changes whenever the same event could give other findings."""

    def detect(self, fields: Fields, derived: Derived) -> Sequence[Finding]:
        """Return what fires, most important first not required. Pure, and total for any event."""

    def judge(self, fields: Fields, derived: Derived) -> Verdict:
        """Return what fires and what stateful rules must know of; `NOTHING` mostly. Total."""
