"""Logging in and out: with a password, with a one-time link, at the provider."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from console.access import Principal
from console.pages.form import Fields, Form
from console.pages.page import Page, action, respond, see
from console.people import links
from console.people.login import NAME_MAX, Knock, WrongLogin, log_in, log_out, redeem
from console.people.telling import people_of
from console.people.way import safe_next
from console.web.context import Api, Asked, each_once
from console.web.front import COOKIE, read_cookie
from console.web.gate import CLIENT, PRINCIPAL
from console.web.problems import Refused

routes: Final = APIRouter(dependencies=[Depends(each_once)])
FIELDS_MAX: Final = 16
PASSWORD_MAX: Final = 1_024
WRONG: Final = "Name or password is wrong."
SPENT: Final = (
    "This link was used already, or is older than 15 minutes. Ask for another: who runs the service"
    " gets one by `audit login-link`."
)


def knock_of(request: Request, api: Api) -> Knock:
    """Return who stands at the door."""
    cookie = read_cookie(request.headers.get("cookie", ""), cookie_name(request, api))
    return Knock(request.scope.get(CLIENT, ""), api.agent, cookie)


def cookie_name(request: Request, api: Api, name: str = COOKIE) -> str:
    """Return the name of a cookie of ours, as this browser came."""
    return api.front.cookie(request.headers.get("host", ""), name)


def welcome(request: Request, api: Api, cookie: str, wanted: str) -> Response:
    """Give the cookie of a new session, and lead to where its owner was going.

    Lax, not Strict: after a link in a terminal or a login at the provider the browser comes from
    elsewhere, and a Strict cookie would not be sent with its first page. What a Lax cookie comes
    along with from another site are GETs, and they change nothing.
    """
    answer = see(safe_next(wanted))
    answer.set_cookie(
        cookie_name(request, api),
        cookie,
        max_age=people_of(api).lives.absolute_ms // 1000,
        path="/",
        secure=api.front.is_secure,
        httponly=True,
        samesite="lax",
    )
    return answer


def login_page(
    request: Request, api: Api, wanted: str, said: str = "", status: int = 200
) -> Response:
    """Return the page that asks who somebody is."""
    provider = people_of(api).provider
    view = {
        "next": safe_next(wanted),
        "said": said,
        "provider": provider.name if provider else "",
    }
    return respond(request, Page("login.html", "Log in", {}, None, view, status), "html")


@routes.get("/login")
async def show_login(
    request: Request, api: Asked, wanted: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """Ask for name and password; who is logged in already goes on."""
    principal: Principal | None = request.scope.get(PRINCIPAL)
    if principal is not None and principal.kind == "session":
        return see(safe_next(wanted))
    return login_page(request, api, wanted)


@routes.post("/login")
async def take_login(request: Request, api: Asked) -> Response:
    """Log in with name and password."""
    form = await _open_form(request)
    wanted = form.text("next")
    name = form.text("name", length_max=NAME_MAX)
    password = form.raw("password", length_max=PASSWORD_MAX)
    try:
        cookie = await log_in(api, name, password, knock_of(request, api))
    except WrongLogin:
        return login_page(request, api, wanted, WRONG, 401)
    except Refused as refused:
        if refused.kind != "too_many":
            raise
        said = f"That was tried too often: {refused.cure}."
        return login_page(request, api, wanted, said, 429)
    return welcome(request, api, cookie, wanted)


@routes.get("/login/{once}")
async def show_link(request: Request, api: Asked, once: str) -> Response:
    """Ask to confirm a one-time link: what only looks at addresses can't use it up."""
    now_ms = api.clock.now_ms()
    found = await api.state.read(lambda db: links.find_link(db, once, now_ms))
    if found is None:
        return login_page(request, api, "", SPENT, 410)
    view = {"account": found.account}
    return respond(request, Page("login_link.html", "Log in", {}, None, view), "html")


@routes.post("/login/{once}")
async def use_link(request: Request, api: Asked, once: str) -> Response:
    """Log in with a one-time link, which is then used up."""
    try:
        cookie = await redeem(api, once, knock_of(request, api))
    except WrongLogin:
        return login_page(request, api, "", SPENT, 410)
    return welcome(request, api, cookie, "/")


@action(routes, "/logout", "own_account")
async def leave(request: Request, api: Asked, form: Fields) -> Response:
    """Log out."""
    del form  # read for the secret it carries
    await log_out(api)
    answer = see("/login")
    answer.delete_cookie(
        cookie_name(request, api), path="/", secure=api.front.is_secure, httponly=True
    )
    return answer


async def _open_form(request: Request) -> Form:
    """Read a form that no session stands behind; the gate has seen that it is of our own page."""
    return Form(await request.form(max_files=0, max_fields=FIELDS_MAX))
