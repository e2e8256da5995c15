"""The event as a platform service publishes it, and the only door from bytes to fields."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, NotRequired

import orjson
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from schemas.errors import BadEvent
from schemas.topics import EVENT_BYTES_MAX

RFC3339: Final = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"
ACTION: Final = r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+){1,5}$"

Result = Literal["success", "failure", "denied", "error"]
Fields = dict[str, Any]


class Event(BaseModel):
    """One thing that one actor did. Lengths are in characters; absent and null mean the same.

    Unknown top-level fields are kept in the raw bytes and counted; a strict pipeline
    quarantines them.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    timestamp: Annotated[
        str,
        Field(
            pattern=RFC3339,
            max_length=40,
            description="When it happened: RFC 3339 with a zone.",
            examples=["2025-10-11T14:23:15Z"],
        ),
    ]
    user: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            description="Who did it: the name by which the platform knows the person or service.",
            examples=["jane.doe@company.com"],
        ),
    ]
    action: Annotated[
        str,
        Field(
            pattern=ACTION,
            max_length=128,
            description="What was done: 2 to 6 dotted lower-case parts.",
            examples=["authentication.login.success"],
        ),
    ]
    event_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            description="The producer's own id; without it one is made of the coordinates.",
        ),
    ] = None
    tenant: Annotated[
        str | None,
        Field(min_length=1, max_length=64, description="Whose data it is; `default` if absent."),
    ] = None
    role: Annotated[
        str | None, Field(max_length=128, description="The role in which the user acted.")
    ] = None
    ip_address: Annotated[
        str | None,
        Field(
            max_length=45,
            description="Where it came from: IPv4 or IPv6.",
            examples=["203.0.113.42"],
        ),
    ] = None
    user_agent: Annotated[str | None, Field(max_length=2048)] = None
    resource: Annotated[
        str | None,
        Field(max_length=1024, description="What was affected.", examples=["voice_call_records"]),
    ] = None
    resource_id: Annotated[
        str | None, Field(max_length=1024, description="Which one of that resource.")
    ] = None
    result: Annotated[
        Result | None, Field(description="If absent, read from the action's last part.")
    ] = None
    session_id: Annotated[
        str | None, Field(max_length=128, description="The authentication session.")
    ] = None
    request_id: Annotated[str | None, Field(max_length=128)] = None
    source: Annotated[
        str | None, Field(max_length=128, description="The service that publishes.")
    ] = None
    on_behalf_of: Annotated[
        str | None, Field(max_length=256, description="For whom the user acted.")
    ] = None
    reason: Annotated[
        str | None,
        Field(max_length=2048, description="Why; where it is absent, details.reason counts."),
    ] = None
    details: Annotated[
        dict[str, Any] | None,
        Field(description="Parameters of the action; `before`/`after` anywhere make it a change."),
    ] = None


FIELDS: Final = frozenset(Event.model_fields)

# A TypedDict of the same fields validates three times as fast as the model, if it builds nothing
# of unknown fields or members of the details: the parsed dict itself goes on to the detections.
_fields: Final[dict[str, Any]] = {
    name: field.rebuild_annotation()
    if field.is_required()
    else NotRequired[field.rebuild_annotation()]
    for name, field in Event.model_fields.items()
}
_fields["details"] = NotRequired[InstanceOf[dict[str, Any]] | None]
_EventDict: Final[Any] = TypedDict("_EventDict", _fields)  # type: ignore[misc]  # one source
_EventDict.__pydantic_config__ = ConfigDict(strict=True, extra="ignore")  # type: ignore[attr-defined]  # pydantic's own hook
_validate: Final[Callable[[object], object]] = TypeAdapter(_EventDict).validator.validate_python

# pydantic's error types, in the words of our reasons
_KINDS: Final = {
    "missing": ("missing", "add the field"),
    "string_type": ("type", "send a string"),
    "is_instance_of": ("type", "send an object"),
    "literal_error": ("value", "send success, failure, denied or error"),
    "string_pattern_mismatch": ("format", "see the published JSON Schema"),
    "string_too_long": ("too_long", "see the published JSON Schema for the limit"),
    "string_too_short": ("too_short", "leave the field out if there is nothing to say"),
}


def decode(raw: bytes | None) -> Fields:
    """Parse and validate one message; the result shares nothing with other calls.

    Strict JSON (RFC 8259) in UTF-8, at most `EVENT_BYTES_MAX` bytes and 250 levels, every
    number finite, no key twice in one object. Raises `BadEvent` naming the first fault.
    """
    if raw is None:
        raise BadEvent("message", "null", "publish a JSON object as the value")
    if len(raw) > EVENT_BYTES_MAX:
        raise BadEvent("message", "too_large", "keep an event within 256 KiB")
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _parse_fault(raw) from error
    if type(parsed) is not dict:
        raise BadEvent("message", "not_object", "publish a JSON object as the value")
    try:
        _validate(parsed)
    except ValidationError as error:
        raise _field_fault(error) from None  # the original would carry the values
    try:
        is_canonical = orjson.dumps(parsed) == raw
    except TypeError as error:
        raise BadEvent("details", "too_deep", "nest at most 250 levels") from error
    if not is_canonical:  # equal bytes can't hide a repeated key
        _refuse_repeated_keys(raw)
    return parsed


def _parse_fault(raw: bytes) -> BadEvent:
    if not raw.strip():
        return BadEvent("message", "empty", "publish a JSON object as the value")
    if raw.startswith(b"\xef\xbb\xbf"):
        return BadEvent("message", "bom", "publish UTF-8 without a byte order mark")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return BadEvent("message", "not_utf8", "publish UTF-8")
    return BadEvent("message", "not_json", "publish strict JSON (RFC 8259), numbers finite")


def _field_fault(error: ValidationError) -> BadEvent:
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    kind, hint = _KINDS.get(fault["type"], (fault["type"], "see the published JSON Schema"))
    return BadEvent(str(fault["loc"][0]) if fault["loc"] else "message", kind, hint)


def _refuse_repeated_keys(raw: bytes) -> None:
    """Raise `BadEvent` if an object has one key twice: readers differ on which one counts."""

    def unique(pairs: list[tuple[str, Any]]) -> Fields:
        found: Fields = {}
        for key, value in pairs:
            if key in found:
                field = key if key in FIELDS else "details"
                raise BadEvent(field, "repeated", "send each key once")
            found[key] = value
        return found

    json.loads(raw, object_pairs_hook=unique)
