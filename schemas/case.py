"""Cases as the REST API takes and answers them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alert import Severity
from schemas.views import View

CaseStatus = Literal["open", "closed"]
MemberKind = Literal["event", "alert"]

Name = Annotated[str, Field(min_length=1, max_length=256)]
Title = Annotated[str, Field(min_length=1, max_length=256)]
NoteText = Annotated[str, Field(min_length=1, max_length=4_096)]
# 500 ids of 128 characters fill the 64 KiB that a request may have.
Id = Annotated[str, Field(min_length=1, max_length=128)]
Ids = Annotated[tuple[Id, ...], Field(max_length=500)]


class _Asked(BaseModel):
    """What is asked; `by` is who does it: only the service's token may name somebody."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Name | None = None


class CaseAsked(_Asked):
    """A new case. `tenant` is for who reaches all; else it is the credential's."""

    title: Title
    severity: Severity = "medium"
    owner: Annotated[str, Field(max_length=256)] | None = None
    tenant: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class CaseChangeAsked(_Asked):
    """What to change, in the version that was read: a case changed since is not changed."""

    version: Annotated[int, Field(ge=1)]
    title: Title | None = None
    status: CaseStatus | None = None
    severity: Severity | None = None
    owner: Annotated[str, Field(max_length=256)] | None = None


class MembersAsked(_Asked):
    """Events and alerts to add, by id or place, each with the same note."""

    event_ids: Ids = ()
    alert_ids: Ids = ()
    note: Annotated[str, Field(max_length=4_096)] = ""


class MemberAsked(_Asked):
    """One member to take out; `ref` as the case shows it."""

    kind: MemberKind
    ref: Annotated[str, Field(min_length=1, max_length=128)]


class CaseNoteAsked(_Asked):
    """A note; `at` is the moment it is about, now by default: RFC 3339, or 15m, 2h ago."""

    text: NoteText
    at: Annotated[str, Field(max_length=40)] | None = None


class CaseOut(View):
    """One case. `version` grows with each change of its fields; members and notes are counted."""

    case_id: str
    tenant: str
    title: str
    status: CaseStatus
    severity: Severity
    owner: str | None = None
    version: int
    created: str
    created_by: str
    changed: str
    changed_by: str
    events: int = 0
    alerts: int = 0
    notes: int = 0


class CasePage(View):
    """Cases, the one changed last first."""

    cases: tuple[CaseOut, ...]
    next: str | None = None


class TimelineEntry(View):
    """One thing of a case's timeline: an event, an alert or a note, at the moment it is about.

    `ref` names a member within the case; `link` is its page. `gone`: the store has it no more, or
    not for who asks.
    """

    at: str
    kind: Literal["event", "alert", "note"]
    ref: str
    name: str
    what: str
    who: str | None = None
    note: str | None = None
    added: str
    added_by: str
    gone: bool = False
    event: dict[str, Any] | None = None
    alert: dict[str, Any] | None = None


class Participant(View):
    """Somebody or something that members of a case name, and how many do."""

    value: str
    count: int


class Participants(View):
    """Who and what a case is about, the most named first. A resource has its id behind a blank."""

    users: tuple[Participant, ...] = ()
    addresses: tuple[Participant, ...] = ()
    sessions: tuple[Participant, ...] = ()
    resources: tuple[Participant, ...] = ()


class CaseFound(View):
    """A case with its timeline, and who takes part."""

    case: CaseOut
    timeline: tuple[TimelineEntry, ...]
    participants: Participants


class CaseMade(View):
    """The case after a change."""

    case: CaseOut


class MembersAdded(View):
    """What was added; `known` were members already, `missing` were not found for this tenant."""

    case: CaseOut
    added: int
    known: int
    missing: tuple[str, ...] = ()


class CaseExport(View):
    """All of a case in one file.

    Each event has the SHA-256 of its raw bytes, and the bytes for whom may read them.
    """

    format: Literal["audit-stream-case"] = "audit-stream-case"
    version: int = 1
    exported: str
    exported_by: str
    case: CaseOut
    timeline: tuple[TimelineEntry, ...]
    participants: Participants
    events: tuple[dict[str, Any], ...]
    alerts: tuple[dict[str, Any], ...]
