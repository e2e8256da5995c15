"""Requests of somebody known that were refused, or found nothing: told of like what was shown.

Who tries ids, or what their role may not, leaves as much as who reads.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request

from console.record.recording import event
from console.record.told import told
from console.web.context import NOBODY, Api, api_of, saw
from console.web.problems import Refused
from schemas.errors import AuditError
from schemas.reads import read_kind

ACTION: Final = "audit.access.denied"
_DENIED: Final = frozenset({"forbidden", "forbidden_tenant"})
_REST: Final = "/v1"
_READS: Final = frozenset({"GET", "HEAD"})


async def told_of(request: Request, error: AuditError) -> AuditError:
    """Tell of a refusal; return what to answer: the refusal, or why it can't be told of."""
    api = api_of(request)
    if api.principal is NOBODY or not isinstance(error, Refused):
        return error
    path = _path(request)
    asked = {**request.path_params, **request.query_params}
    try:
        if error.kind in _DENIED:
            await _tell_denied(api, request.method, path, asked)
        elif error.kind == "not_found" and request.method in _READS:
            await saw(api, path, asked, 0)
    except AuditError as untold:
        return untold
    return error


async def _tell_denied(api: Api, method: str, path: str, asked: Mapping[str, Any]) -> None:
    kind = read_kind(path)
    details = {"method": method, "path": path, "query": told(asked), "kind": kind.kind}
    await api.ports.record(
        event(api, ACTION, resource=kind.resource, result="denied", details=details)
    )


def _path(request: Request) -> str:
    """Return the template of a request's path; a route itself doesn't know what stands before."""
    whole = str(request.scope["path"])
    path = str(getattr(request.scope.get("route"), "path_format", "") or whole)
    is_rest = whole.startswith(_REST) and not path.startswith(_REST)
    return _REST + path if is_rest else path
