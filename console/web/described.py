"""The description of the REST API as OpenAPI 3.1: what every route has in common, said once.

Each answer that is an error is problem+json, whatever FastAPI would describe, and each route needs
a bearer token; so the gate and the handlers of errors have it, not the routes.
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.routing import Match

from schemas.views import Problem

PROBLEM_JSON: Final = "application/problem+json"
# By status; those of the gate come before any route is asked.
FAULTS: Final[Mapping[int, str]] = {
    400: "A parameter or the body is wrong, or the query too broad: see `field` and `cure`.",
    401: "No token, or not one of this service's.",
    403: "The token's roles, scope or tenant do not reach this.",
    404: "There is no such thing.",
    405: "The path is there, but not with this method; `Allow` names those there are.",
    409: "It is not in the state that this needs.",
    413: "The body is larger than any this service takes.",
    421: "The Host header names no host of this service.",
    429: "Too often: `Retry-After` seconds later it is taken again.",
    503: "A part is away, or too many ask at once: try again.",
    504: "It took longer than any request may.",
}
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_VALIDATION: Final = ("HTTPValidationError", "ValidationError")


class Described(FastAPI):
    """An application whose description is complete."""

    def openapi(self) -> dict[str, Any]:
        """Return the description, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = complete(
                get_openapi(
                    title=self.title,
                    version=self.version,
                    summary="The audit log of the platform: search, alerts, cases, exports, health",
                    routes=self.routes,
                )
            )
        return self.openapi_schema


def complete(found: dict[str, Any]) -> dict[str, Any]:
    """Add what all routes have in common to what FastAPI says of each."""
    parts = found.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for name in _VALIDATION:
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    found["security"] = [{"token": []}]
    for path in found["paths"].values():
        for method in {name.lower() for name in _METHODS} & path.keys():
            _complete(path[method]["responses"])
    return found


def _complete(responses: dict[str, Any]) -> None:
    responses.pop("422", None)  # FastAPI's own; ours is 400
    shape = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status, text in FAULTS.items():
        responses[str(status)] = {"description": text, "content": shape}


def allowed(request: Request) -> str:
    """Return the methods that a path is there for, as `Allow` has them."""
    named = _named(request)
    if named:
        return ", ".join(name for name in _METHODS if name in named)
    return ", ".join(name for name in _METHODS if _is_there(request, name))


def is_other_method(request: Request) -> bool:
    """Say whether a path is described by its own name, and not with this method.

    `GET /v1/exports/estimate` is no question about the export named `estimate`.
    """
    named = _named(request)
    return bool(named) and request.method not in named


def _named(request: Request) -> frozenset[str]:
    """Return the methods that the description has for this very path."""
    found = request.app.openapi()["paths"].get(request.scope["path"], {})
    return frozenset(name.upper() for name in found)


def _is_there(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
