"""Logging in at the provider: out to it, and back with proof."""

from typing import Final

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import RedirectResponse

from console.pages.login import cookie_name, knock_of, login_page, welcome
from console.pages.page import Page, respond
from console.people.accounts import UNKNOWN
from console.people.guests import admit
from console.people.login import WrongLogin, tell_failed
from console.people.mapping import NotMapped, guest_of
from console.people.provider import TRIP_S, NotProven, Provider, ProviderAway, new_trip, read_trip
from console.people.telling import people_of
from console.web.context import Api, Asked, each_once
from console.web.front import read_cookie
from console.web.problems import Refused

routes: Final = APIRouter(dependencies=[Depends(each_once)])
TRIP: Final = "audit_login"  # the cookie that keeps the secret of a login under way
BACK: Final = "/login/oidc/callback"
AGAIN: Final = (
    "That login could not be completed: it took too long, was begun in another window, or was"
    " refused there. Try once more."
)


@routes.get("/login/oidc")
async def go_there(request: Request, api: Asked) -> Response:
    """Send the browser to the provider.

    By a link, for the policy of forms would not let one lead to another host.
    """
    provider = _provider(api)
    seed, trip = new_trip(request.query_params.get("next", ""))
    try:
        address = await provider.begin(seed, _back(request, api))
    except ProviderAway as away:
        return _away(request, api, away)
    answer = RedirectResponse(address, status_code=303)
    answer.set_cookie(
        cookie_name(request, api, TRIP),
        trip,
        max_age=TRIP_S,
        path="/",
        secure=api.front.is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@routes.get(BACK)
async def come_back(request: Request, api: Asked) -> Response:
    """Take what the provider says of whoever comes back, once."""
    answer = await _judge(request, api)
    answer.delete_cookie(
        cookie_name(request, api, TRIP), path="/", secure=api.front.is_secure, httponly=True
    )
    return answer


async def _judge(request: Request, api: Api) -> Response:
    people, knock = people_of(api), knock_of(request, api)
    wait = people.limit.wait_place_s(knock.client, api.clock.monotonic())
    if wait > 0:
        return login_page(request, api, "", f"Too many logins failed: wait {wait:.0f} s.", 429)
    cookie = read_cookie(request.headers.get("cookie", ""), cookie_name(request, api, TRIP))
    try:
        session, wanted = await _prove(request, api, read_trip(cookie))
    except ProviderAway as away:
        return _away(request, api, away)
    except WrongLogin:  # told already
        return login_page(request, api, "", AGAIN, 401)
    except NotProven as unproven:
        await tell_failed(api, UNKNOWN, knock, unproven.reason)
        people.metrics.login("failed")
        return login_page(request, api, "", AGAIN, 401)
    except NotMapped as unmapped:
        await tell_failed(api, UNKNOWN, knock, "not_mapped")
        people.metrics.login("forbidden")
        return _forbidden(request, api, unmapped)
    people.limit.place_succeeded(knock.client, api.clock.monotonic())
    return welcome(request, api, session, wanted)


async def _prove(request: Request, api: Api, trip: tuple[str, str] | None) -> tuple[str, str]:
    """Return the cookie of a new session, and where its owner was going."""
    if trip is None:
        raise NotProven("no_login_under_way")
    provider, (seed, wanted) = _provider(api), trip
    claims = await provider.finish(seed, _back(request, api), dict(request.query_params))
    guest = guest_of(claims, provider.terms.worth)
    return await admit(api, guest, knock_of(request, api)), wanted


def _forbidden(request: Request, api: Api, unmapped: NotMapped) -> Response:
    data = {"why": str(unmapped), "groups": list(unmapped.groups)}
    view = {"name": _provider(api).name}
    shown = Page("login_forbidden.html", "No access", data, None, view, 403)
    return respond(request, shown, "html")


def _away(request: Request, api: Api, away: ProviderAway) -> Response:
    said = f"Logging in there is not possible now: {away}. An account of this console still works."
    return login_page(request, api, "", said, 503)


def _provider(api: Api) -> Provider:
    provider = people_of(api).provider
    if provider is None:
        raise Refused("not_found", "no provider of identities is set up", cure="see /login")
    return provider


def _back(request: Request, api: Api) -> str:
    """Return where the provider sends the browser back to."""
    return api.front.address(request.headers.get("host", "")) + BACK
