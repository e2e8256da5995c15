"""CloudTrail: one event of AWS's own audit log as one of ours, the original kept in its details.

Source: "CloudTrail record contents" of the AWS documentation. Pure; all but the object, the name
and the time may be missing or of a wrong type.
"""

import hashlib
import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

import orjson

from producers.cloudtrail_change import change_of
from schemas.errors import BadEvent
from schemas.event import Fields
from schemas.secrets import mask_text
from schemas.topics import EVENT_BYTES_MAX

_DENIED: Final = re.compile(r"AccessDenied|Unauthori[sz]ed|Forbidden|NotAuthori[sz]ed|AuthFailure")
_THEIR_FAULT: Final = re.compile(
    r"Throttl|Internal|Unavailable|Timeout|TooManyRequests|RequestLimit"
)
_API_DATE: Final = re.compile(r"\d{8}(?:v\d+)?$|_?\d{4}_\d{2}_\d{2}$")  # GetFunction20150331v2
_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_NAME: Final = re.compile(r"[^a-z0-9_-]+")
_ARN_KIND: Final = "ARN"
# Request parameters that say which thing it is about, the most telling first.
_ID_PARAMETERS: Final = (
    "bucketName", "userName", "roleName", "groupName", "policyArn", "instanceProfileName",
    "secretId", "functionName", "trailName", "keyId", "snapshotId", "imageId", "volumeId",
    "instanceId", "dBInstanceIdentifier", "dBSnapshotIdentifier", "groupId", "routeTableId",
    "subnetId", "networkInterfaceId", "natGatewayId", "internetGatewayId", "allocationId",
    "vpcId", "logGroupName", "detectorId", "resourceId", "resourceArn", "resourceName",
    "roleArn", "name", "arn",
)  # fmt: skip
_TRIMMED_TO_BYTES: Final = EVENT_BYTES_MAX - 8_192  # room for the event around the original
_NAMES_REMEMBERED_MAX: Final = 4_096


def from_cloudtrail(raw: bytes | Fields) -> Fields:
    """Map one CloudTrail event; the result fits the event's schema, secrets not yet masked.

    `details.cloudtrail` is the original; of one too large for an event the longest parts are
    replaced by their size and hash, and `details.trimmed` names them. Raises `BadEvent`.
    """
    original = raw if isinstance(raw, dict) else _parse(raw)
    name, time = original.get("eventName"), original.get("eventTime")
    if not isinstance(name, str) or not name:
        raise BadEvent("eventName", "missing", "this is not a CloudTrail event")
    if not isinstance(time, str) or not time:
        raise BadEvent("eventTime", "missing", "this is not a CloudTrail event")
    source = _text(original, "eventSource")
    identity = _object(original, "userIdentity")
    user, role = _who(identity, source)
    resource, resource_id = _what(original, source)
    event: Fields = {
        "timestamp": time,
        "user": user[:256],
        "action": action_name(source, name),
        "event_id": _text(original, "eventID")[:64],
        "role": role[:128],
        "ip_address": _address(_text(original, "sourceIPAddress")),
        "user_agent": _text(original, "userAgent").removeprefix("[").removesuffix("]")[:2048],
        "resource": resource[:1024],
        "resource_id": resource_id[:1024],
        "result": _result(original),
        "session_id": _session(identity),
        "request_id": _text(original, "requestID")[:128],
        "source": source[:128],
        "reason": mask_text(_text(original, "errorMessage"))[:2048],
    }
    details = _details(original, name)
    return {field: value for field, value in event.items() if value} | {"details": details}


@lru_cache(maxsize=_NAMES_REMEMBERED_MAX)
def action_name(source: str, name: str) -> str:
    """Return our name for an API call: s3.amazonaws.com GetObject → aws.s3.get_object."""
    service = _NOT_NAME.sub("-", source.partition(".")[0].lower()).strip("-") or "unknown"
    stem = _API_DATE.sub("", name) or name
    words = _NOT_NAME.sub("_", _WORD_START.sub("_", stem).lower()).split("_")
    snake = "_".join(word for word in words if word) or "unknown"
    return f"aws.{service}.{snake}"[:128]


def _parse(raw: bytes) -> Fields:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadEvent("message", "not_json", "one JSON object a line") from error
    if not isinstance(parsed, dict):
        raise BadEvent("message", "not_object", "one JSON object a line")
    return parsed


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _who(identity: Fields, source: str) -> tuple[str, str]:
    """Return user and role. A role's user is role/session: sessions are told apart."""
    kind = _text(identity, "type")
    arn = _text(identity, "arn")
    name = _text(identity, "userName")
    issuer = _text(_object(_object(identity, "sessionContext"), "sessionIssuer"), "userName")
    if kind == "Root":
        return name or "root", "root"
    if kind in {"AssumedRole", "FederatedUser"} or issuer:
        session = arn.rpartition("/")[2] or _text(identity, "principalId").rpartition(":")[2]
        role = issuer or arn.split("/")[1] if "/" in arn else issuer
        return "/".join(part for part in (role, session) if part) or "unknown", role
    on_behalf = _text(_object(identity, "onBehalfOf"), "userId")
    candidates = (name, _text(identity, "invokedBy"), on_behalf, arn.rpartition("/")[2])
    rest = (_text(identity, "principalId"), _text(identity, "accountId"), source)
    return next((found for found in (*candidates, *rest) if found), "unknown"), ""


def _what(original: Fields, source: str) -> tuple[str, str]:
    """Return the kind of thing and which one."""
    service = source.partition(".")[0] or "aws"
    resources = original.get("resources")
    for entry in resources if isinstance(resources, list) else ():
        if isinstance(entry, dict) and _text(entry, _ARN_KIND):
            return _kind_of(_text(entry, "type")) or service, _text(entry, _ARN_KIND)
    parameters = _object(original, "requestParameters")
    for name in _ID_PARAMETERS:
        if _text(parameters, name):
            return f"{service}{_snake_kind(name)}", _text(parameters, name)
    items = _object(parameters, "instancesSet").get("items")
    if isinstance(items, list) and items and isinstance(items[0], dict):
        return f"{service}_instance", _text(items[0], "instanceId")
    return service, ""


@lru_cache(maxsize=_NAMES_REMEMBERED_MAX)
def _kind_of(aws_type: str) -> str:
    """Return AWS::S3::Bucket as s3_bucket."""
    words = [word for word in aws_type.split("::")[1:] if word]
    return "_".join(_WORD_START.sub("_", word).lower() for word in words)


@lru_cache(maxsize=_NAMES_REMEMBERED_MAX)
def _snake_kind(parameter: str) -> str:
    """Return bucketName as _bucket, dBInstanceIdentifier as _db_instance, and name as nothing."""
    stem = re.sub(r"(?:Name|Id|Arn|Identifier)$", "", parameter)
    words = _WORD_START.sub("_", stem.replace("dB", "DB")).lower()
    return "" if words in {"", "name", "arn", "resource"} else f"_{words}"


@lru_cache(maxsize=_NAMES_REMEMBERED_MAX)
def _address(text: str) -> str:
    """Return the address, or "" for the name of a service, which stays in the original."""
    try:
        ip_address(text)
    except ValueError:
        return ""
    return text


def _result(original: Fields) -> str:
    code = _text(original, "errorCode")
    if code:
        if _DENIED.search(code):
            return "denied"
        return "error" if _THEIR_FAULT.search(code) else "failure"
    answer = _object(original, "responseElements")
    failed = "Failure" in (answer.get("ConsoleLogin"), answer.get("CheckMfa"))
    return "failure" if failed or _text(original, "errorMessage") else "success"


def _session(identity: Fields) -> str:
    """Return an id for the credential in use; the key's own id is masked as a secret elsewhere."""
    key_id = _text(identity, "accessKeyId")
    return f"aws-{hashlib.sha256(key_id.encode()).hexdigest()[:24]}" if key_id else ""


def _details(original: Fields, name: str) -> Fields:
    details: Fields = {
        "region": original.get("awsRegion"),
        "account": original.get("recipientAccountId"),
        "read_only": original.get("readOnly"),
        "event_type": original.get("eventType"),
        "error_code": original.get("errorCode"),
        "invoked_by": _object(original, "userIdentity").get("invokedBy"),
    }
    details = {key: value for key, value in details.items() if value is not None}
    if not _text(original, "errorCode") and original.get("readOnly") is not True:
        details |= change_of(
            name, _object(original, "requestParameters"), _object(original, "responseElements")
        )
    kept, trimmed = _trim(original, _TRIMMED_TO_BYTES - len(orjson.dumps(details)))
    if trimmed and len(orjson.dumps(details)) > _TRIMMED_TO_BYTES // 2:
        details.pop("before", None)
        details.pop("after", None)
        kept, trimmed = _trim(original, _TRIMMED_TO_BYTES - len(orjson.dumps(details)))
    if trimmed:
        details["trimmed"] = trimmed
    return details | {"cloudtrail": kept}


def _trim(original: Fields, bytes_max: int) -> tuple[Fields, list[str]]:
    """Replace the longest parts by size and hash until it fits; the same object if it does."""
    if len(orjson.dumps(original)) <= bytes_max:
        return original, []
    parts = {key: orjson.dumps(value) for key, value in original.items()}
    size = sum(map(len, parts.values())) + sum(map(len, parts))
    kept: dict[str, Any] = dict(original)
    trimmed: list[str] = []
    for key in sorted(parts, key=lambda key: (-len(parts[key]), key)):
        if size <= bytes_max - 200 * len(parts):  # the marks have a size, too
            break
        digest = hashlib.sha256(parts[key]).hexdigest()
        kept[key] = {"trimmed_bytes": len(parts[key]), "sha256": digest}
        size -= len(parts[key])
        trimmed.append(key)
    return kept, trimmed
