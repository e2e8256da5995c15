"""Every route there is: a stranger, a wrong role and another site get nothing of it."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from console.access import GRANTS, ROLES, Permission
from console.pages.form import read_form
from console.web.context import Needs
from console.web.gate import is_long
from tests.integration.api.people import House, house

# What a browser needs before anybody is known; each says what it tells.
OPEN = {
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/login/{once}"),
    ("POST", "/login/{once}"),
    ("GET", "/login/oidc"),
    ("GET", "/login/oidc/callback"),
    ("GET", "/static/{name}"),
}
DESCRIPTION = ("GET", "/openapi.json")


class Route(NamedTuple):
    """One route of the application, as its code has it."""

    method: str
    path: str
    needs: frozenset[Permission]
    has_form: bool


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _dependants(one)


def _routes_of(app: Any) -> Iterator[Route]:
    for context in _leaves(app.routes):
        calls = [one.call for one in _dependants(context.dependant)]
        needs = frozenset(call.permission for call in calls if isinstance(call, Needs))
        for method in context.methods - {"HEAD"}:
            yield Route(method, context.path, needs, read_form in calls)


def _leaves(routes: Any) -> Iterator[Any]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "effective_route_contexts"):
            yield from route.effective_route_contexts()


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    made = await house(tmp_path)
    yield made
    await made.close()


@pytest.fixture
def routes(home: House) -> list[Route]:
    app: Any = home.gate.app
    while not isinstance(app, FastAPI):  # what stands around it
        app = app._app
    return sorted(_routes_of(app), key=lambda route: (route.path, route.method))


def _address(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


def test_there_are_routes(routes: list[Route]) -> None:
    known = {(route.method, route.path) for route in routes}
    assert {("GET", "/v1/events"), ("GET", "/people"), ("POST", "/me/tokens")} <= known
    assert known >= OPEN
    assert len(known) > 60


def test_every_route_needs_a_right_but_the_login(routes: list[Route]) -> None:
    bare = {(r.method, r.path) for r in routes if len(r.needs) != 1}
    assert bare - OPEN == set()


def test_every_posted_form_carries_the_secret_of_its_session(routes: list[Route]) -> None:
    without = {
        (r.method, r.path)
        for r in routes
        if r.method != "GET" and not r.path.startswith("/v1/") and not r.has_form
    }
    assert without - OPEN == set()


def test_only_answers_that_go_on_take_long_places(routes: list[Route]) -> None:
    long = {(r.method, r.path) for r in routes if is_long(r.method, _address(r.path))}
    assert long == {
        ("GET", "/search/tail"),
        ("POST", "/v1/exports/stream"),
        ("GET", "/v1/exports/{export_id}/stream"),
        ("GET", "/exports/{export_id}/stream"),
    }
    for path in ("/login/tail", "/users/x/tail", "/v1/events/x/stream", "/resources/stream"):
        assert not is_long("GET", path)
        assert not is_long("POST", path)


async def test_a_stranger_gets_nothing(home: House, routes: list[Route]) -> None:
    person, program = home.browser(), home.browser(accept="application/json")
    for route in [*routes, Route(*DESCRIPTION, frozenset(), has_form=False)]:
        if (route.method, route.path) in OPEN:
            continue
        address = _address(route.path)
        for client in (person, program):
            answer = await client.request(route.method, address)
            is_led = client is person and route.method == "GET"
            assert answer.status_code == (303 if is_led else 401), route
            if is_led:
                assert answer.headers["location"].startswith("/login?next=%2F"), route
    assert home.reads == []
    assert home.events == []


async def test_a_wrong_role_gets_nothing(home: House, routes: list[Route]) -> None:
    people = {role: await home.person(role, role) for role in ROLES}
    secrets = {role: await home.csrf(browser) for role, browser in people.items()}
    tokens = {}
    for role, browser in people.items():
        made = await home.post(browser, "/me/tokens", {"name": "t", "days": "1"})
        tokens[role] = home.program("ast_" + made.text.split("ast_")[1][:43])
    home.events.clear()
    checked = 0
    for route in routes:
        for role in ROLES:
            if route.needs <= GRANTS[role]:
                continue
            checked += 1
            asked: dict[str, Any] = {}
            if route.method != "GET" and not route.path.startswith("/v1/"):
                asked = {"data": {"csrf": secrets[role]}}
            is_rest = route.path.startswith("/v1/")
            clients = [tokens[role]] if is_rest else [tokens[role], people[role]]
            for client in clients:
                answer = await client.request(route.method, _address(route.path), **asked)
                assert answer.status_code == 403, (route, role, answer.text[:200])
    assert checked > 50
    assert home.reads == []
    assert {event["action"] for event in home.events} == {"audit.access.denied"}


async def test_a_form_without_the_secret_and_one_of_another_site_do_nothing(
    home: House, routes: list[Route]
) -> None:
    everything = await home.person("all", *ROLES)
    secret = await home.csrf(everything)
    home.events.clear()
    checked = 0
    for route in routes:
        if route.method == "GET" or route.path.startswith("/v1/"):
            continue
        address = _address(route.path)
        elsewhere = await everything.request(
            route.method, address, data={"csrf": secret}, headers={"sec-fetch-site": "cross-site"}
        )
        assert elsewhere.status_code == 403, route
        if (route.method, route.path) in OPEN:
            continue
        checked += 1
        for given in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
            answer = await everything.request(route.method, address, data=given)
            assert answer.status_code == 403, (route, given)
            assert "form is not of this session" in answer.text.lower(), route
    assert checked >= 10
    assert home.events == []


async def test_no_session_opens_a_rest_route(home: House, routes: list[Route]) -> None:
    everything = await home.person("all", *ROLES)
    for route in routes:
        if route.path.startswith("/v1/"):
            answer = await everything.request(
                route.method, _address(route.path), headers={"accept": "application/json"}
            )
            assert answer.status_code == 401, route


async def test_whoever_must_set_a_password_gets_nowhere_else(
    home: House, routes: list[Route]
) -> None:
    body = {"name": "new", "roles": list(ROLES)}
    made = await home.program().post("/v1/people", json=body)
    browser = home.browser()
    await browser.post(made.json()["login"]["link"])
    secret = await home.csrf(browser)
    home.reads.clear()
    for route in routes:
        if route.path.startswith(("/v1/", "/login", "/static/", "/me/password", "/logout")):
            continue
        answer = await browser.request(
            route.method,
            _address(route.path),
            **({} if route.method == "GET" else {"data": {"csrf": secret}}),
        )
        assert answer.headers.get("location") == "/me/password", route
    assert home.reads == []
