"""What the REST API answers: the shapes that the CLI and other clients may rely on."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alert import Severity, Status
from schemas.catalogue import Category
from schemas.event import Result


class View(BaseModel):
    """The root of all views: frozen; a client of an older version ignores what it doesn't know."""

    model_config = ConfigDict(frozen=True)


class CompletionOut(View):
    """One way to go on with a query: `text` takes the place of what was typed."""

    text: str
    label: str
    kind: Literal["field", "value"]
    about: str


class CompletionList(View):
    """What may take the place of `length` characters from `position`."""

    position: int
    length: int
    completions: tuple[CompletionOut, ...]


class Change(View):
    """One before and after in the details; `path` is dotted, the values are as published."""

    path: str
    before: Any = None
    after: Any = None


class Geo(View):
    """Where an address is registered."""

    country: str | None = None
    asn: int | None = None
    as_name: str | None = None


class EventOut(View):
    """One stored event. Times are RFC 3339 in UTC; what the event did not say is null.

    Numbers in `details` are passed through as the producer wrote them, of any size.
    """

    event_id: str
    timestamp: str
    tenant: str
    user: str
    role: str | None = None
    on_behalf_of: str | None = None
    action: str
    result: Result | Literal["unknown"]
    resource: str | None = None
    resource_id: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    source: str | None = None
    reason: str | None = None
    details: dict[str, Any]
    category: Category
    verb: str | None = None
    changes: tuple[Change, ...] = ()
    geo: Geo
    client: str | None = None
    department: str | None = None
    user_status: str | None = None
    data_class: str | None = None
    retention_class: str | None = None
    retain_until: str | None = None
    severity: Severity
    risk_score: int
    flags: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    recorded: str
    stored: str
    topic: str
    partition: int
    offset: int


class EventPage(View):
    """Events, newest first; `next` is the cursor of the page after, null on the last."""

    events: tuple[EventOut, ...]
    next: str | None = None


class BatchOut(View):
    """The insert that stored a row, as the ledger of batches has it; null where it was lost.

    It counts the events of all tenants, so it is null for those bound to one, too.
    """

    first_offset: int
    last_offset: int
    rows: int
    written: str


class Provenance(View):
    """Where the raw bytes lie in Kafka and by what they were judged."""

    incarnation: str
    topic: str
    partition: int
    offset: int
    recorded: str
    stored: str
    replayed: bool
    versions: str
    batch: BatchOut | None = None


class EventFound(View):
    """One event with its evidence; `raw` is null and `raw_base64` set where it is not UTF-8.

    `others` are further rows with the same `event_id`: a producer sent it more than once.
    """

    event: EventOut
    raw: str | None
    raw_base64: str | None
    provenance: Provenance
    others: tuple[EventOut, ...] = ()


class DeliveryOut(View):
    """One attempt to bring an alert to a target. The target is named, never its URL.

    `next` is when it is tried again, or until when it is held back.
    """

    target: str
    attempt: int
    outcome: str
    reason: str | None = None
    tried: str
    next: str | None = None


class AlertChangeOut(View):
    """One thing done with an alert: who, when, what."""

    change_id: str
    at: str
    who: str
    kind: str
    before: str | None = None
    value: str


class AlertOut(View):
    """One stored alert.

    `lead_id` is the alert that opened its group: status and assignee are of the whole group, which
    has so many `alerts`, the newest of them from `last`.
    """

    alert_id: str
    rule_id: str
    rule_version: int
    title: str
    severity: Severity
    tenant: str
    group: str
    summary: str
    runbook: str | None = None
    tags: tuple[str, ...] = ()
    user: str | None = None
    action: str | None = None
    resource: str | None = None
    ip_address: str | None = None
    session_id: str | None = None
    event_ids: tuple[str, ...] = ()
    event_count: int
    occurred: str
    recorded: str
    stored: str
    historical: bool
    why: str | None = None
    suppressed_by: str | None = None
    rule_set: str | None = None
    canary: bool = False
    lead_id: str = ""
    status: Status = "open"
    assignee: str | None = None
    alerts: int = 1
    last: str | None = None


class AlertPage(View):
    """Alerts; `next` continues a listing, `after` is what a follower asks from next time."""

    alerts: tuple[AlertOut, ...]
    next: str | None = None
    after: str | None = None


class AlertFound(View):
    """One alert with each attempt to deliver it, and what was done with its group."""

    alert: AlertOut
    deliveries: tuple[DeliveryOut, ...]
    history: tuple[AlertChangeOut, ...] = ()


class AlertChangeAsked(BaseModel):
    """What to change; at least one of status, assignee and note.

    `by` is who does it: only the service's token, which is nobody's, may name somebody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    status: Status | None = None
    assignee: Annotated[str, Field(max_length=256)] | None = None
    note: Annotated[str, Field(min_length=1, max_length=4_096)] | None = None


class AlertChanged(View):
    """What became of it. `audited`: each change left an audit event, recorded before it."""

    alert_id: str
    changes: tuple[AlertChangeOut, ...]
    audited: bool


class RuleCount(View):
    """Alerts of one rule; `groups` are what people had to look at; `title` is its latest one."""

    rule_id: str
    title: str = ""
    alerts: int
    groups: int
    suppressed: int
    historical: int
    worst: Severity


class StatusCount(View):
    """Groups in one status, and the medians until the first change and until they were closed."""

    status: Status
    groups: int
    taken_s: float | None = None
    closed_s: float | None = None


class AlertStats(View):
    """Counts by rule, the most frequent first, and by status."""

    rules: tuple[RuleCount, ...]
    statuses: tuple[StatusCount, ...]


class TargetOut(View):
    """How a target fares, by its last three days.

    `state` is ok, failing, unused, or removed: in the store, and no longer configured.
    """

    target: str
    state: str
    delivered: int = 0
    failures: int = 0
    given_up: int = 0
    pending: int = 0
    last_delivered: str | None = None
    last_failed: str | None = None


class TargetList(View):
    """All targets."""

    targets: tuple[TargetOut, ...]


class QuarantineOut(View):
    """One message that could not become an event. `open` until a replay accepts it."""

    reason: str
    hint: str | None = None
    size: int
    incarnation: str
    topic: str
    partition: int
    offset: int
    recorded: str
    stored: str
    versions: str
    open: bool


class QuarantinePage(View):
    """Quarantined messages, newest first."""

    messages: tuple[QuarantineOut, ...]
    next: str | None = None


class QuarantineFound(View):
    """One quarantined message with its bytes."""

    message: QuarantineOut
    raw: str | None
    raw_base64: str | None


class ReplayAsked(BaseModel):
    """Which open quarantined messages to judge again; `after` is the last answer's `next`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str | None = None
    partition: Annotated[int, Field(strict=True)] | None = None
    offset: Annotated[int, Field(strict=True)] | None = None
    limit: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 1_000
    after: Annotated[str, Field(pattern=r"^[^:]{1,64}:[^:]{1,249}:\d{1,5}:\d{1,19}$")] | None = None


class ReplayDone(View):
    """What became of them; `next` is where to go on, null when all have been looked at."""

    replayed: int
    still_rejected: int
    next: str | None = None


class CanaryOut(View):
    """What is known of a rule's canary; `state` is ok, waiting (for the first one) or silent."""

    rule_id: str
    state: str
    sent: str | None = None
    fired: str | None = None
    silent: str | None = None


class CanaryList(View):
    """The rules whose canaries were sent of late."""

    canaries: tuple[CanaryOut, ...]


class Check(View):
    """One thing the doctor looked at; `cure` is what to do if it is not `ok`.

    A `note` is ok, but worth knowing.
    """

    name: str
    ok: bool
    note: bool = False
    found: str
    want: str
    cure: str | None = None


class Diagnosis(View):
    """All checks; `ok` if each is."""

    ok: bool
    checks: tuple[Check, ...]


class Problem(View):
    """An error as RFC 9457 has it (`application/problem+json`).

    `field` is the parameter at fault, `cure` what to do about it. Of a query `position` and
    `length` are the characters at fault.
    """

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    position: int | None = None
    length: int | None = None
    cure: str
