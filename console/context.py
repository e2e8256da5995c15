"""What every route has at hand: what the API is made of, and how it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request, Response
from pydantic import SecretStr

from console.gate import REQUEST_S_MAX
from console.ports import Ports, Read
from console.problems import Refused
from console.reading import Reader
from runtime.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class Api:
    """What the API is made of. `tenant` bounds the token to one tenant; without it, all.

    `host` is the address listened on: besides loopback the only name that is answered to, with
    `hosts`.
    """

    reader: Reader
    ports: Ports
    token: SecretStr
    tenant: str | None = None
    host: str = "127.0.0.1"
    hosts: frozenset[str] = frozenset()
    request_s_max: float = REQUEST_S_MAX
    clock: Clock = field(default_factory=SystemClock)


def api_of(request: Request) -> Api:
    """Return what the application was built from."""
    api: Api = request.app.state.api
    return api


Asked = Annotated[Api, Depends(api_of)]


async def saw(api: Api, path: str, asked: Mapping[str, Any], rows: int) -> None:
    """Tell of a read before it is answered."""
    await api.ports.saw(Read(path, asked, api.tenant, rows))


def whole(api: Api) -> None:
    """Refuse what belongs to no tenant to a token that is for one."""
    if api.tenant is not None:
        raise Refused("forbidden_tenant", "this is for tokens that reach all tenants")


def json_answer(body: Mapping[str, Any]) -> Response:
    """Return a body as JSON that no cache keeps."""
    return Response(
        orjson.dumps(body),
        media_type="application/json",
        headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
    )
