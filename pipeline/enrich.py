"""Enrichment: from the fields of an event to the columns that are derived of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

import orjson

from detections.hours import Hours
from detections.rule import Derived
from pipeline.changes import find_changes
from pipeline.directory import ACTIVE, EMPTY, Directory, Person
from pipeline.geo import NOWHERE, Geo, NoGeo, Place
from pipeline.line import to_members
from pipeline.moment import DAY_MS, retain_until
from pipeline.policy import Policy
from pipeline.risk import raise_severity
from schemas.address import is_private, parse_address
from schemas.alert import Severity
from schemas.canary import TENANT as CANARY_TENANT
from schemas.canary import fingerprint
from schemas.canary import judge as judge_canary
from schemas.catalogue import action_of, category_of, result_of, verb_of
from schemas.console_mark import TENANT as CONSOLE_TENANT
from schemas.console_mark import judge as judge_own
from schemas.errors import BadEvent
from schemas.event import FIELDS, Fields
from schemas.moment import parse
from schemas.reads import READ_ACTIONS
from schemas.secrets import mask_details, mask_text, may_hold_secret

TENANTS_CACHED_MAX: Final = 1_024
ADDRESSES_CACHED_MAX: Final = 32_768  # about 400 bytes each: 13 MiB
USERS_CACHED_MAX: Final = 16_384
DEEDS_CACHED_MAX: Final = 8_192  # actions times resources; about 1 kB each
AGENTS_CACHED_MAX: Final = 4_096  # at most 8 KiB each: 32 MiB if someone wants it so
UNKNOWN_FIELDS_MAX: Final = 65_535  # what the column holds

# Texts in which a person or program may leave a secret. Ids (event, session, request) stay as
# they are: they are what an event is found by.
_MASKED: Final = ("role", "on_behalf_of", "resource_id", "source", "reason")
_COPIED: Final = ("event_id", "session_id", "request_id", *_MASKED)
REASON_MAX: Final = 2_048  # characters, as the field of an event has it
BREAK_GLASS: Final = "break_glass"  # what was done as an emergency: flag, and key of the details


class Clients(Protocol):
    """Names the client behind a user agent."""

    @property
    def version(self) -> str:
        """A text without spaces that names the patterns and their date."""

    def parse(self, user_agent: str) -> str:
        """Name the client, '' if nothing is known; total."""


class NoClients:
    """Knows no client; as `Clients` promises."""

    version: Final = "none"

    def parse(self, user_agent: str) -> str:  # noqa: ARG002 - as the protocol has it
        """Give nothing."""
        return ""


@dataclass(frozen=True, slots=True)
class Lookups:
    """What is looked up, each under the version that stands on every record."""

    policy: Policy
    geo: Geo = field(default_factory=NoGeo)
    clients: Clients = field(default_factory=NoClients)
    directory: Directory = EMPTY

    @property
    def version(self) -> str:
        """All versions in one text."""
        return (
            f"geo={self.geo.version} clients={self.clients.version}"
            f" directory={self.directory.version} policy={self.policy.version}"
        )


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings that decide what a record says."""

    is_strict: bool = False  # refuse events with unknown top-level fields
    future_ms_max: int = 300_000  # clocks of producers may be that far ahead
    late_ms_min: int = 7 * DAY_MS
    delayed_ms_min: int = 900_000  # later than that an event counts in no window
    historical_ms_min: int = DAY_MS  # an alert on what is older is never delivered
    hours: Hours = field(default_factory=Hours)
    canary_key: bytes = field(default=b"", repr=False)  # without one all marks are false

    @property
    def version(self) -> str:
        """All settings in one short text without spaces."""
        strict = "strict" if self.is_strict else "tolerant"
        hours = self.hours.description.replace(" ", "_")
        canaries = f",canaries:{fingerprint(self.canary_key)}" if self.canary_key else ""
        bounds = f"{self.future_ms_max},{self.late_ms_min},{self.delayed_ms_min}"
        return f"{strict},{bounds},{hours}{canaries}"


class Met(NamedTuple):
    """What follows from a user's name."""

    columns: bytes
    person: Person
    flags: tuple[str, ...]
    is_emergency: bool


class Located(NamedTuple):
    """What follows from an address."""

    columns: bytes
    place: Place
    flags: tuple[str, ...]


class Filed(NamedTuple):
    """What follows from an action, its result, a resource and the day of the record."""

    deed: bytes  # three groups of columns, as they stand apart in a line
    kept: bytes
    until: bytes
    category: str
    verb: str
    result: str
    severity: Severity
    data_class: str
    is_protected: bool
    flags: tuple[str, ...]


class Agent(NamedTuple):
    """What follows from a user agent."""

    columns: bytes
    client: str
    is_masked: bool


# Of an event: columns that are remembered, as parts of its line from the brace on; columns of its
# own; what detections see beside the fields; flags; the catalogue's severity, raised by the result;
# when it occurred, in ms. A plain tuple: a named one takes five times as long to make.
Enriched = tuple[tuple[bytes, ...], dict[str, Any], Derived, tuple[str, ...], Severity, int]

_UNLOCATED: Final = Located(b"", NOWHERE, ())
_NO_AGENT: Final = Agent(b"", "", is_masked=False)


class Enricher:
    """Holds the lookups and the bounded memories of their answers.

    What follows from one field is worked out once and written as JSON once; a line is joined of it.
    """

    def __init__(self, lookups: Lookups, terms: Terms) -> None:
        self._lookups = lookups
        self._terms = terms
        self._ahead_ms_min = -min(terms.late_ms_min, terms.delayed_ms_min)
        self._ahead_ms_max, self._late_ms_min = terms.future_ms_max, terms.late_ms_min
        self._house = lru_cache(maxsize=TENANTS_CACHED_MAX)(_house)
        self._meet = lru_cache(maxsize=USERS_CACHED_MAX)(self._find_person)
        self._is_off = terms.hours.is_off
        self._is_emergency = lookups.policy.is_emergency_role
        self._canary_key = terms.canary_key
        self._locate = lru_cache(maxsize=ADDRESSES_CACHED_MAX)(self._find_place)
        self._file = lru_cache(maxsize=DEEDS_CACHED_MAX)(self._classify)
        self._name_agent = lru_cache(maxsize=AGENTS_CACHED_MAX)(self._parse_agent)

    def enrich(
        self, fields: Fields, raw: bytes, recorded_ms: int, *, is_clean: bool = False
    ) -> Enriched:
        """Derive all columns but what findings add. Raises `BadEvent`; changes nothing given.

        `raw` is what `fields` were decoded from; `is_clean` says that it certainly holds no secret.
        """
        get = fields.get
        filed = self._file(fields["action"], get("result"), get("resource"), recorded_ms // DAY_MS)
        deed, kept, until, category, verb, result, severity, data_class, is_protected, flags = filed
        met, person, met_flags, is_emergency = self._meet(fields["user"])
        occurred, occurred_ms = parse(fields["timestamp"])
        is_off_hours = self._is_off(occurred)
        address = get("ip_address")
        located, place, place_flags = _UNLOCATED if address is None else self._locate(address)
        user_agent = get("user_agent")
        agent, client, is_masked = self._name_agent(user_agent) if user_agent else _NO_AGENT
        is_suspect = not is_clean and may_hold_secret(raw)
        own, own_flags = _own_columns(fields, is_suspect=is_suspect, is_masked=is_masked)
        flags = met_flags + place_flags + flags + own_flags
        ahead_ms = occurred_ms - recorded_ms
        if not self._ahead_ms_min <= ahead_ms <= self._ahead_ms_max:
            flags += (self._time_flag(ahead_ms),)
        if is_off_hours:
            flags += ("off_hours",)
        role = get("role") or person.role
        if is_emergency or (role and self._is_emergency(role)) or _breaks_glass(get("details")):
            flags += (BREAK_GLASS,)
        if not FIELDS.issuperset(fields):
            own["unknown_fields"] = self._count_unknown(fields)
            flags += ("unknown_fields",)
        tenant = get("tenant")
        if tenant == CANARY_TENANT:
            flags += (judge_canary(self._canary_key, fields),)
        elif tenant == CONSOLE_TENANT or fields["action"] in READ_ACTIONS:
            flags += judge_own(self._canary_key, fields)
        house = self._house(tenant)
        own["occurred"] = occurred
        columns = (house, deed, met, located, kept, agent, until)
        facts = (
            occurred,
            category,
            verb,
            result,
            role,
            person.department,
            person.status,
            *place,
            client,
            data_class,
            is_protected,
            "changed" in own,
            is_off_hours,
            tuple(own["changed"]) if "changed" in own else (),
            flags,
            recorded_ms,
        )
        # past the named tuple's own constructor, which takes three times as long
        derived = tuple.__new__(Derived, facts)
        return columns, own, derived, flags, severity, occurred_ms

    def _time_flag(self, ahead_ms: int) -> str:
        if ahead_ms > self._ahead_ms_max:
            return "future"
        return "late" if -ahead_ms > self._late_ms_min else "delayed"

    def _count_unknown(self, fields: Fields) -> int:
        if self._terms.is_strict:
            raise BadEvent("message", "unknown_fields", "see the published JSON Schema")
        return min(len(fields.keys() - FIELDS), UNKNOWN_FIELDS_MAX)

    def _find_person(self, user: str) -> Met:
        person = self._lookups.directory.find(user)
        columns = {"user": mask_text(user)}
        flags = ["secret_masked"] if columns["user"] != user else []
        if person.department:
            columns["department"] = person.department
        if person.status:
            columns["user_status"] = person.status
            if person.status.lower() not in ACTIVE:
                flags.append("inactive_user")
        is_emergency = self._lookups.policy.is_emergency_user(user)
        return Met(to_members(columns), person, tuple(flags), is_emergency)

    def _find_place(self, text: str) -> Located:
        address = parse_address(text)
        columns: dict[str, Any] = {"ip_address": str(address)}
        place = self._lookups.geo.locate(address)
        if not place.country and is_private(address):  # asked last: it costs 3 µs
            return Located(to_members(columns), NOWHERE, ("private_ip",))
        said = zip(("geo_country", "geo_asn", "geo_as_name"), place, strict=True)
        columns |= {name: value for name, value in said if value}
        return Located(to_members(columns), place, ())

    def _classify(self, action: str, said: str | None, resource: str | None, day: int) -> Filed:
        entry = action_of(action)
        category, verb = category_of(action), verb_of(action)
        result = said or result_of(action)
        severity = raise_severity(entry.severity if entry else "info", result, ())
        deed = {"action": action, "category": category, "verb": verb}
        if result != "unknown":
            deed["result"] = result
        kept = self._lookups.policy.classify(action, resource or "")
        columns = {"data_class": kept.data_class, "retention_class": kept.retention_class}
        flags = ["protected"] if kept.is_protected else []
        if resource:
            columns["resource"] = mask_text(resource)
            if columns["resource"] != resource:
                flags.append("secret_masked")
        return Filed(
            to_members(deed),
            to_members(columns),
            to_members({"retain_until": retain_until(day, kept.years)}),
            category,
            verb,
            result,
            severity,
            kept.data_class,
            kept.is_protected,
            tuple(flags),
        )

    def _parse_agent(self, user_agent: str) -> Agent:
        masked = mask_text(user_agent)
        client = self._lookups.clients.parse(masked)
        columns = {"user_agent": masked} | ({"client": client} if client else {})
        return Agent(to_members(columns), client, is_masked=masked != user_agent)


def _house(tenant: str | None) -> bytes:
    """Open the object: the tenant stands first."""
    return orjson.dumps({"tenant": tenant or "default"})[:-1]


def _breaks_glass(details: Mapping[str, Any] | None) -> bool:
    """Say whether the details of an event mark it as done in an emergency."""
    return details is not None and details.get(BREAK_GLASS) is True


def _own_columns(
    fields: Fields, *, is_suspect: bool, is_masked: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Give what differs from event to event, and its flags; `is_masked` says what was before.

    Ids stay as they are, texts and details have their secrets masked.
    """
    own: dict[str, Any] = {}
    for name in _COPIED:
        if value := fields.get(name):
            own[name] = value
    flags: tuple[str, ...] = ()
    details = fields.get("details")
    masked = mask_details(details) if is_suspect and details else details
    if masked:
        if "reason" not in own and isinstance(why := masked.get("reason"), str) and why:
            own["reason"] = why[:REASON_MAX]
        changes = find_changes(masked)
        if changes.changed:
            # a path is joined of keys and so may look as none of them does
            own["changed"] = [mask_text(path) for path in changes.changed]
            own["before"] = changes.before
            own["after"] = changes.after
        if changes.is_cut:
            flags = ("changes_cut",)
    if is_suspect:
        if masked is not details:
            own["details_masked"] = orjson.dumps(masked).decode()
            is_masked = True
        is_masked = _mask_texts(own) or is_masked
    return own, (*flags, "secret_masked") if is_masked else flags


def _mask_texts(own: dict[str, Any]) -> bool:
    """Mask the texts in place; say whether there was anything to mask."""
    is_masked = False
    for name in _MASKED:
        if value := own.get(name):
            own[name] = mask_text(value)
            is_masked = is_masked or own[name] is not value
    return is_masked
