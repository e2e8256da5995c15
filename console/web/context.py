"""What every route has at hand: what the console is made of, who asks, and how it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Request, Response
from fastapi.params import Depends as DependsMarker

from console.access import Permission, Principal
from console.export.desk import Desk
from console.ports import Ports, Read
from console.search.reading import Reader
from console.state import State
from console.web.auth import Authenticator
from console.web.front import Front
from console.web.gate import PRINCIPAL, REQUEST_S_MAX
from console.web.problems import Refused
from runtime.clock import Clock, SystemClock

OPERATOR: Final = "x-audit-operator"  # a claim, for a token tells no person
CLAIM_MAX: Final = 256
NOBODY: Final = Principal("nobody", frozenset(), kind="session")


@dataclass(frozen=True, slots=True)
class Api:
    """What the console is made of, and, within a request, who asks.

    `host` is the address listened on: besides loopback the only name that is answered to, with
    `hosts`.
    """

    reader: Reader
    ports: Ports
    authenticator: Authenticator
    state: State
    principal: Principal = NOBODY
    host: str = "127.0.0.1"
    hosts: frozenset[str] = frozenset()
    request_s_max: float = REQUEST_S_MAX
    front: Front = field(default_factory=Front)
    refused: Callable[[str], None] = lambda _kind: None
    desk: Desk | None = None
    clock: Clock = field(default_factory=SystemClock)
    operator: str = ""  # who the caller claims to be, such as the user of a command
    agent: str = ""  # the program it calls itself

    @property
    def tenant(self) -> str | None:
        """The tenant that whoever asks is bound to; None for all."""
        return self.principal.tenant


def api_of(request: Request) -> Api:
    """Return what the application was built from, with who asks."""
    api: Api = request.app.state.api
    return replace(
        api,
        principal=request.scope.get(PRINCIPAL) or NOBODY,
        operator=request.headers.get(OPERATOR, "")[:CLAIM_MAX],
        agent=request.headers.get("user-agent", "")[:CLAIM_MAX],
    )


Asked = Annotated[Api, Depends(api_of)]


class Needs:
    """A dependency that lets only those pass who have the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission: Final = permission

    def __call__(self, api: Asked) -> None:
        """Raise `Refused` for all others."""
        api.principal.require(self.permission)


def needs(permission: Permission) -> DependsMarker:
    """Return the dependency for a route; every route but the login has one."""
    return DependsMarker(Needs(permission))


PARAMETERS_MAX: Final = 32  # there are about half as many


def each_once(request: Request) -> None:
    """Refuse a parameter that is given twice: which one counts is anybody's guess."""
    names = [name for name, _ in request.query_params.multi_items()]
    if len(names) > PARAMETERS_MAX:
        raise Refused(
            "bad_parameter", f"over {PARAMETERS_MAX} parameters", cure="leave some of them out"
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            shown = name if name.isidentifier() else "a parameter"
            raise Refused(
                "bad_parameter", f"{shown} is given twice", field=shown, cure="give it once"
            )
        seen.add(name)


async def saw(api: Api, path: str, asked: Mapping[str, Any], rows: int) -> None:
    """Tell of a read before it is answered; what can't be told of is not answered."""
    await api.ports.saw(Read(path, asked, api.principal, rows, api.operator, api.agent))


def whole(api: Api) -> None:
    """Refuse what belongs to no tenant to a token that is for one."""
    if api.tenant is not None:
        raise Refused("forbidden_tenant", "this is for tokens that reach all tenants")


def json_answer(body: Mapping[str, Any]) -> Response:
    """Return a body as JSON that no cache keeps."""
    return Response(
        orjson.dumps(body),
        media_type="application/json",
        headers={"cache-control": "no-store"},
    )
