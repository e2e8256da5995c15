"""Errors as the API tells them: RFC 9457 problems that name the field and the cure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import AuditError, Misconfigured, StoreUnavailable, Unavailable
from schemas.views import Problem

PROBLEM_TYPE: Final = "urn:audit-stream:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its status, and what to do when nothing better is known."""

    status: int
    title: str
    cure: str


KINDS: Final[dict[str, Kind]] = {
    "bad_parameter": Kind(400, "A parameter is wrong", "see /openapi.json"),
    "unknown_parameter": Kind(400, "There is no such parameter", "see /openapi.json"),
    "bad_query": Kind(400, "The query can't be read", "see docs/search.md"),
    "bad_cursor": Kind(400, "The cursor can't be read", "ask again without the cursor"),
    "query_too_broad": Kind(
        400,
        "The query would read too much",
        "narrow it: a since and until closer together, or a user, session, ip or resource",
    ),
    "sql_refused": Kind(
        400,
        "That statement is not run here",
        "write a single SELECT on the views, see docs/sql.md",
    ),
    "unauthorized": Kind(
        401, "A token is needed", "send 'Authorization: Bearer TOKEN' with the service's token"
    ),
    "forbidden": Kind(403, "Not allowed", "ask an administrator for the role that may"),
    "cross_site": Kind(403, "Sent by another site", "do it on this service's own page"),
    "form_expired": Kind(403, "The form is too old", "load the page again and send it once more"),
    "forbidden_tenant": Kind(
        403, "The token is for another tenant", "leave tenant out, or use that tenant's token"
    ),
    "not_found": Kind(404, "There is no such thing", "check the id"),
    "conflict": Kind(409, "That is there already", "choose another name"),
    "changed_meanwhile": Kind(409, "Somebody else was faster", "look at it again"),
    "too_many": Kind(429, "Too often", "wait a minute and try again"),
    "wrong_state": Kind(409, "Not in the state it is in", "look at it again"),
    "method_not_allowed": Kind(405, "That can't be done here", "see /openapi.json"),
    "too_large": Kind(413, "The request is too large", "send less"),
    "wrong_host": Kind(
        421, "This service is not that host", "ask for it by a host name that it was told of"
    ),
    "busy": Kind(503, "Too many requests at once", "try again in a second"),
    "store_unavailable": Kind(503, "The store is away", "try again; see 'audit doctor'"),
    "unavailable": Kind(503, "A part that this needs is away", "try again; see 'audit doctor'"),
    "unrecorded": Kind(
        503,
        "What is read can't be recorded",
        "nothing is shown that leaves no audit event: start Kafka, see 'audit doctor'",
    ),
    "timeout": Kind(504, "It took too long", "ask for less at once"),
    "internal": Kind(500, "A bug", "report it with the service's log"),
}


class Refused(AuditError):
    """A request that ends with a problem. `detail` names no value that was asked for.

    `position` and `length` are the characters of the field that are at fault, where that is known.
    """

    position: int | None = None
    length: int | None = None

    def __init__(self, kind: str, detail: str, *, field: str | None = None, cure: str = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
        self.field = field
        self.cure = cure


# The faults of parameters that people meet, in our words; what is not here is told in pydantic's.
_FAULTS: Final = {
    "string_too_short": (
        "is empty or too short",
        "give more of it, or leave it out",
    ),
    "string_too_long": ("is too long", "give at most {max_length} characters"),
    "greater_than_equal": ("is too small", "give at least {ge}"),
    "less_than_equal": ("is too large", "give at most {le}; what is beyond is on the next page"),
    "int_parsing": ("is not a whole number", "write it in digits"),
    "literal_error": ("is not one of those there are", "give {expected}"),
    "missing": ("is missing", "give it"),
    "json_invalid": ("is not JSON", "send a JSON object"),
}


def problem_of_fault(name: str, fault: Mapping[str, Any]) -> Problem:
    """Return what to answer to a parameter that pydantic refused; its value is not repeated."""
    said, cure = _FAULTS.get(fault["type"], (f"is wrong: {fault['msg']}", ""))
    return problem(
        "bad_parameter", f"{name} {said}", field=name, cure=cure.format_map(fault.get("ctx", {}))
    )


def problem(kind: str, detail: str, *, field: str | None = None, cure: str = "") -> Problem:
    """Return the problem; without a `cure` that of its kind."""
    known = KINDS[kind]
    return Problem(
        type=PROBLEM_TYPE + kind,
        title=known.title,
        status=known.status,
        detail=detail,
        field=field,
        cure=cure or known.cure,
    )


def problem_of(refused: Refused) -> Problem:
    """Return what to answer to a refused request."""
    told = problem(refused.kind, refused.detail, field=refused.field, cure=refused.cure)
    if refused.position is None:
        return told
    return told.model_copy(update={"position": refused.position, "length": refused.length})


def problem_of_error(error: AuditError) -> Problem:
    """Return what to answer to an error, by who must act."""
    if isinstance(error, Refused):
        return problem_of(error)
    if isinstance(error, StoreUnavailable):
        return problem("store_unavailable", str(error))
    if isinstance(error, Unavailable | Misconfigured):
        return problem("unavailable", str(error))
    return problem("internal", str(error))
