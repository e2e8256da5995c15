"""What people do here, as audit events of the same stream: each read, and each change. Pure.

Texts are mended where they can't be written, so that nothing can be asked in a way that leaves no
event; and what is too much to be told in whole is refused, for a part of it could hide the rest.
Secrets are masked before an event is kept (console/record/told.py, console/record/outbox.py).
"""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

import orjson

from console.access import Principal
from console.alerts.changes import SOURCE
from console.ports import Read
from console.record.polls import Silent
from console.record.told import told
from console.search.moment import rfc3339
from console.web.context import Api
from console.web.problems import Refused
from schemas.address import parse_address
from schemas.console_mark import TENANT
from schemas.errors import BadEvent
from schemas.event import Result
from schemas.reads import read_kind

DETAILS_BYTES_MAX: Final = 196_608  # of all that was asked; an event may have 256 KiB
DEPTH_MAX: Final = 6
NONE_SILENT: Final = Silent()
_SHORT: Final = 128  # characters; this and the others are those of schemas/event.py
_USER: Final = 256
_LONG: Final = 1_024
_AGENT: Final = 2_048
_INTEGER_MAX: Final = 2**63 - 1  # beyond, readers of JSON differ


class Told(TypedDict, total=False):
    """What may be told of an action besides its name; what is not told is as the request has it.

    `tenant` is for a thing of one tenant, changed by someone who reaches all; `user` for what is
    done by someone who isn't let in yet.
    """

    resource: str
    resource_id: str
    result: Result
    reason: str
    tenant: str
    user: str
    details: Mapping[str, Any]


def event(api: Api, action: str, **given: Unpack[Told]) -> dict[str, Any]:
    """Return the event of what a request does; give it to `api.ports.record`."""
    made = _made(action, api.principal, api.clock.now_ms(), api.agent)
    for name, length in (("resource", _LONG), ("resource_id", _LONG), ("reason", _AGENT)):
        if text := given.get(name):
            made[name] = clean(str(text), length)
    if tenant := given.get("tenant"):
        made["tenant"] = clean(tenant, 64)
    if user := given.get("user"):
        made["user"] = clean(user, _USER)
    made["result"] = given.get("result", "success")
    made["details"] = _bounded({**given.get("details", {}), **_claimed(api.operator)})
    return made


def event_of_read(read: Read, now_ms: int, silent: Silent = NONE_SILENT) -> dict[str, Any]:
    """Return the event of a read; `silent` are the polls before it that found nothing new.

    Raises `Refused` if what was asked is too much to be told of.
    """
    kind = read_kind(read.path)
    made = _made(kind.action, read.by, now_ms, read.agent)
    details: dict[str, Any] = {
        "path": read.path,
        "query": plain(told(read.asked)),
        "rows": read.rows,
        "kind": kind.kind,
        **_claimed(read.operator),
    }
    if silent.polls:
        details["polls"] = silent.polls
    if silent.since:
        details["polled_after"] = silent.since
    made |= {"resource": kind.resource, "result": "success", "details": _bounded(details)}
    return made


def new_id(now_ms: int) -> str:
    """Return an id that sorts by time and stays the event's, however often it is sent."""
    return f"{now_ms:012x}{secrets.token_hex(10)}"


def plain(value: object, depth: int = DEPTH_MAX) -> object:
    """Return what JSON can hold of a value. Total."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _INTEGER_MAX else hex(value)[:_SHORT]
    if depth and isinstance(value, Mapping):
        return {clean(str(name), _SHORT): plain(one, depth - 1) for name, one in value.items()}
    if (
        depth
        and isinstance(value, Sequence | set | frozenset)
        and not isinstance(value, str | bytes)
    ):
        return [plain(one, depth - 1) for one in value]
    return clean(str(value))


def clean(text: str, length: int | None = None) -> str:
    """Return the text as UTF-8 can hold it, cut to a length if there is one."""
    return text[:length].encode("utf-8", "replace").decode()


def _made(action: str, by: Principal, now_ms: int, agent: str) -> dict[str, Any]:
    made = {
        "timestamp": rfc3339(now_ms * 1000, digits=3),
        "event_id": new_id(now_ms),
        "tenant": clean(by.tenant or TENANT, 64),
        "user": clean(by.name, _USER) or "unknown",
        "action": action,
        "source": SOURCE,
    }
    address = _address(by.client)
    for name, text, length in (
        # the token of the file is a service's: rules about people leave it out
        ("role", "service" if by.kind == "service" else " ".join(sorted(by.roles)), _SHORT),
        ("ip_address", address, _SHORT),
        ("session_id", by.key, _SHORT),
        ("user_agent", agent, _AGENT),
    ):
        if text:
            made[name] = clean(text, length)
    return made


def _address(client: str) -> str:
    """Return the client's address; "" of one that is none, such as a socket's name."""
    try:
        parse_address(client)
    except BadEvent:
        return ""
    return client


def _claimed(operator: str) -> dict[str, str]:
    """Return who the caller says to be: a claim, for the token alone tells no person."""
    return {"operator_claimed": clean(operator, _SHORT)} if operator else {}


def _bounded(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details as an event holds them. Raises `Refused` if they are too much."""
    found = {clean(name, _SHORT): plain(one) for name, one in details.items()}
    if len(orjson.dumps(found)) > DETAILS_BYTES_MAX:
        raise Refused(
            "too_large",
            "what is asked is too long to be recorded in whole",
            cure="ask for less at once",
        )
    return found
