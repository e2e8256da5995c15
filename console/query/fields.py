"""The table of fields: what each is, what may be asked of it, and where it lies in `events`.

docs/search.md has the same table, and a test holds the two to each other.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from console.query.tree import Operator
from schemas.alert import SEVERITIES
from schemas.catalogue import ACTIONS, Category, verb_of
from schemas.event import Result

Kind = Literal[
    "text",  # a value with stars
    "list",  # several such values; one that fits is enough
    "choice",  # one of `values`
    "order",  # one of `values`, the least first
    "number",  # a whole number
    "address",  # an address or a network
    "moment",
    "inside",  # part of a text, upper and lower case alike
    "member",  # a value in the details, under the keys of a path
    "is",
    "has",
]
ORDERED: Final[frozenset[Kind]] = frozenset({"order", "number", "member"})
COMPARING: Final[tuple[Operator, ...]] = (":", ">", ">=", "<", "<=", "..")
NUMBER_MAX: Final = 2**63 - 1


_UNIQUE: Final = frozenset({"request", "event", "reason", "user_agent"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `column` is what the store has it in, `given` what holds if the event has it."""

    name: str
    kind: Kind
    about: str
    column: str = ""
    given: str = ""
    aliases: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    example: str = ""
    is_lower: bool = False
    is_upper: bool = False

    @property
    def operators(self) -> tuple[Operator, ...]:
        """What may stand between it and a value."""
        return COMPARING if self.kind in ORDERED else (":",)

    @property
    def is_asked(self) -> bool:
        """Whether the store's own values help to complete it."""
        is_open = self.kind in ("text", "list", "address") or self.name == "asn"
        return is_open and self.name not in _UNIQUE


# What can be asked with is:, and what it means in SQL; `read` is in compile.py.
IS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "protected": "about data that a law protects",
        "changed": "a change, with a before or an after",
        "failed": "one that failed, was denied, or ended in an error",
        "canary": "a synthetic event that proves that a rule still speaks",
        "read": "somebody's look at this audit log",
        "replayed": "taken out of quarantine",
    }
)
FLAGS: Final = (
    "break_glass",
    "canary",
    "changes_cut",
    "delayed",
    "forged_canary",
    "forged_read",
    "future",
    "inactive_user",
    "late",
    "off_hours",
    "private_ip",
    "protected",
    "read",
    "secret_masked",
    "unknown_fields",
)

VERBS: Final = tuple(sorted({verb_of(action) for action in ACTIONS}))
RESULTS: Final = (*get_args(Result), "unknown")


def _text(
    name: str, about: str, example: str, *, column: str = "", aliases: tuple[str, ...] = ()
) -> Field:
    held = column or name
    return Field(name, "text", about, held, f"{held} != ''", aliases, example=example)


_FIELDS: Final = (
    _text("user", "who did it", "user:jane*"),
    Field(
        "action",
        "text",
        "what was done, in dotted parts",
        "action",
        "action != ''",
        values=tuple(ACTIONS),
        example="action:authentication.*",
        is_lower=True,
    ),
    _text("resource", "what was affected", "resource:voice_call_records"),
    _text("resource_id", "which one of that resource", "resource_id:rec-17"),
    Field(
        "ip",
        "address",
        "from where: an address or a network",
        "ip_address",
        "ip_address != toIPv6('::')",
        ("ip_address", "address"),
        example="ip:203.0.113.0/24",
    ),
    Field(
        "result",
        "choice",
        "how it ended",
        "result",
        "result != 'unknown'",
        values=RESULTS,
        example="-result:success",
    ),
    _text(
        "session",
        "the authentication session",
        "session:sess_abc123",
        column="session_id",
        aliases=("session_id",),
    ),
    _text(
        "request",
        "the request",
        "request:req-9",
        column="request_id",
        aliases=("request_id",),
    ),
    Field(
        "category",
        "choice",
        "the kind of action",
        "category",
        "category != ''",
        values=get_args(Category),
        example="category:(export OR permission)",
    ),
    Field(
        "severity",
        "order",
        "how grave",
        "severity",
        "severity != ''",
        values=SEVERITIES,
        example="severity>=high",
    ),
    Field(
        "risk",
        "number",
        "the risk score, 0 to 100",
        "risk_score",
        "risk_score != 0",
        ("risk_score",),
        example="risk>50",
    ),
    Field(
        "verb",
        "text",
        "the action's verb, in the infinitive",
        "verb",
        "verb != ''",
        values=VERBS,
        example="verb:delete",
        is_lower=True,
    ),
    _text("role", "the role in which the user acted", "role:admin"),
    _text("tenant", "whose event it is", "tenant:acme"),
    _text("source", "the service that published it", "source:call-router"),
    _text("client", "the program, as its user agent tells", 'client:"Chrome on Windows"'),
    Field(
        "country",
        "text",
        "where the address is registered: two letters",
        "geo_country",
        "geo_country != ''",
        ("geo.country", "geo_country"),
        example="-country:DE",
        is_upper=True,
    ),
    Field(
        "asn",
        "number",
        "the number of the network that the address is of",
        "geo_asn",
        "geo_asn != 0",
        ("geo.asn", "geo_asn"),
        example="asn:3320",
    ),
    _text(
        "as_name",
        "the name of that network",
        "as_name:*telekom*",
        column="geo_as_name",
        aliases=("geo.as_name", "geo_as_name"),
    ),
    _text("department", "the user's, from the directory", "department:support"),
    _text("user_status", "the user's, from the directory", "user_status:inactive"),
    _text("user_agent", "the user agent as sent", "user_agent:curl*"),
    _text("data_class", "what the resource holds, such as phi", "data_class:phi"),
    _text("retention", "how long it is kept", "retention:hipaa", column="retention_class",
          aliases=("retention_class",)),
    Field(
        "flag",
        "list",
        "what was noted of it",
        "flags",
        "notEmpty(flags)",
        ("flags",),
        FLAGS,
        "flag:off_hours",
        is_lower=True,
    ),
    Field(
        "rule",
        "list",
        "a rule that it made speak",
        "rules",
        "notEmpty(rules)",
        ("rules",),
        example="rule:retention_shortened",
    ),
    _text("reason", "why, as the event or its details say", "reason:*urgent*"),
    _text("on_behalf_of", "for whom the user acted", "on_behalf_of:jane.doe@company.com"),
    _text("event", "its id", "event:HHiSBQq0-0-2", column="event_id",
          aliases=("event_id", "id")),
    Field("partition", "number", "where it lies in Kafka", "partition", "1", example="partition:0"),
    Field("offset", "number", "its place there", "offset", "1", example="offset:100..200"),
    Field("changed", "list", "the path of a value that was changed", "changed",
          "notEmpty(changed)", ("changes",), example="changed:retention.days"),
    Field("before", "list", "a value before the change", "before",
          "arrayExists(x -> x NOT IN ('', 'null'), before)", example='before:"90 days"'),
    Field("after", "list", "a value after the change", "after",
          "arrayExists(x -> x NOT IN ('', 'null'), after)", example="after:false"),
    Field("details", "inside", "text anywhere in the details", "details",
          "details NOT IN ('', 'null', '{}')", example="details:okta"),
    Field("text", "inside", "text in the details, or in what the event says of who, what and why",
          example='text:"free text"'),
    Field("since", "moment", "from then on", "occurred", example="since:7d"),
    Field("until", "moment", "before then", "occurred", example="until:2025-10-11T14:23:15Z"),
    Field("is", "is", "what is so", values=tuple(IS), example="is:protected"),
    Field("has", "has", "the event says something of that field", example="has:resource_id"),
)  # fmt: skip
MEMBER: Final = Field(
    "details.",
    "member",
    "a value in the details, under that key",
    "details",
    example="details.format:csv",
)

# Keys that the catalogue's actions have in their details.
KEYS: Final = tuple(sorted({key for action in ACTIONS.values() for key in action.details}))
FIELDS: Final[Mapping[str, Field]] = MappingProxyType({field.name: field for field in _FIELDS})
NAMES: Final[Mapping[str, Field]] = MappingProxyType(
    {**FIELDS} | {alias: field for field in _FIELDS for alias in field.aliases}
)


def field_of(name: str) -> Field:
    """Return the field of a term that was parsed."""
    return FIELDS.get(name, MEMBER)


def nearest(name: str, names: tuple[str, ...]) -> str:
    """Return the most like of the names, or nothing."""
    return next(iter(difflib.get_close_matches(name.lower()[:64], names, n=1, cutoff=0.6)), "")
