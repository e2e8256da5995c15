"""Tokens and sessions of people: what they open, and when they end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api.people import PASSWORD, House, cookie_of, house
from tests.integration.api.stored import TOKEN


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    made = await house(tmp_path)
    yield made
    await made.close()


async def test_a_token_makes_accounts_but_gets_no_link_and_gives_no_role_it_has_not(
    home: House,
) -> None:
    boss = await home.person("boss", "administrator", "viewer")
    form = {"name": "t", "days": "1", "scope": "manage_people"}
    made = await home.post(boss, "/me/tokens", form)
    token = home.program("ast_" + made.text.split("ast_")[1][:43])
    every = ["viewer", "analyst", "auditor", "administrator"]
    refused = await token.post("/v1/people", json={"name": "backdoor", "roles": every})
    assert (refused.status_code, "no role that it has not" in refused.text) == (403, True)
    fair = await token.post("/v1/people", json={"name": "new", "roles": ["viewer"]})
    assert (fair.status_code, fair.json()["login"]) == (201, None)
    shown = await token.post("/v1/people/new/reset")
    assert (shown.status_code, shown.json()["login"]) == (201, None)
    wider = await token.patch("/v1/people/new", json={"roles": ["viewer", "auditor"]})
    assert wider.status_code == 403
    await home.program().patch("/v1/people/boss", json={"roles": ["administrator"]})
    late = await token.post("/v1/people", json={"name": "newer", "roles": ["viewer"]})
    assert late.status_code == 403  # its owner has that role no longer
    linked = home.told("audit.account.updated")
    assert [e["details"].get("login_link") for e in linked if e["resource_id"] == "new"] == ["none"]
    invited = await home.post(boss, "/people", {"name": "guest", "roles": ["analyst"]})
    assert "/login/" in invited.text


async def test_a_token_is_no_wider_than_its_owner_and_ends(home: House) -> None:
    analyst = await home.person("ana", "analyst", tenant="acme")
    too_wide = {"name": "t", "days": "30", "roles": ["administrator"]}
    assert (await home.post(analyst, "/me/tokens", too_wide)).status_code == 403
    elsewhere = {"name": "t", "days": "30", "tenant": "umbrella"}
    assert (await home.post(analyst, "/me/tokens", elsewhere)).status_code == 403
    for days in ("0", "366", "-1", "x", "", "9999"):
        form = {"name": "t", "days": days}
        expected = 200 if days == "" else 400
        assert (await home.post(analyst, "/me/tokens", form)).status_code == expected
    form = {"name": "reader", "days": "1", "scope": ["read_people"]}  # which she has not
    made = await home.post(analyst, "/me/tokens", form)
    token = home.program("ast_" + made.text.split("ast_")[1][:43])
    assert (await token.get("/v1/people")).status_code == 403
    assert (await token.get("/v1/events")).status_code == 403  # not in its scope
    home.clock.pass_s(86_400)
    assert (await token.get("/v1/people")).status_code == 401


async def test_a_token_is_revoked_by_its_owner_and_tells_its_last_use(home: House) -> None:
    jane, joan = await home.person("jane", "viewer"), await home.person("joan", "viewer")
    made = await home.post(jane, "/me/tokens", {"name": "ci", "days": "30"})
    token = home.program("ast_" + made.text.split("ast_")[1][:43])
    assert (await token.get("/v1/me")).json()["name"] == "jane"
    (own,) = (await token.get("/v1/tokens")).json()["tokens"]
    assert (own["last_client"], own["state"]) == ("203.0.113.9", "active")
    key = own["key"]
    assert (await home.post(joan, f"/me/tokens/{key}/revoke")).status_code == 404
    assert (await home.post(jane, f"/me/tokens/{key}/revoke")).status_code == 303
    assert (await token.get("/v1/me")).status_code == 401
    assert [e["user"] for e in home.told("audit.token.revoked")] == ["jane"]


async def test_a_token_makes_no_token(home: House) -> None:
    jane = await home.person("jane", "viewer")
    made = await home.post(jane, "/me/tokens", {"name": "ci", "days": "30"})
    token = home.program("ast_" + made.text.split("ast_")[1][:43])
    assert (await token.post("/v1/tokens", json={"name": "more"})).status_code == 403
    assert (await home.program().post("/v1/tokens", json={"name": "more"})).status_code == 201


async def test_a_session_is_revoked_by_its_owner_or_an_administrator(home: House) -> None:
    jane = await home.person("jane", "viewer")
    home.clock.pass_s(61)
    await jane.get("/me")
    phone = home.browser()
    await phone.post("/login", data={"name": "jane", "password": PASSWORD})
    listed = (await jane.get("/me.json")).json()["sessions"]
    other = next(one["key"] for one in listed if not one["current"])
    assert (await home.post(jane, f"/me/sessions/{other}/revoke")).status_code == 303
    assert (await phone.get("/me")).status_code == 303
    mine = next(one["key"] for one in listed if one["current"])
    assert (await home.program().delete(f"/v1/sessions/{mine}")).status_code == 204
    assert (await jane.get("/me")).status_code == 303
    assert len(home.told("audit.session.revoked")) == 2


async def test_a_session_ends_when_idle_and_in_any_case(home: House) -> None:
    idle = await home.person("idle", "viewer")
    home.clock.pass_s(8 * 3600)
    assert (await idle.get("/me")).status_code == 303
    busy = await home.person("busy", "viewer")
    for _ in range(7):
        assert (await busy.get("/me")).status_code == 200
        home.clock.pass_s(3.5 * 3600 - 60)
    assert (await busy.get("/me")).status_code == 303


async def test_two_tabs_share_a_session_and_a_login_in_one_ends_the_forms_of_the_other(
    home: House,
) -> None:
    tab = await home.person("jane", "viewer")
    old = await home.csrf(tab)
    made = {"name": "a", "days": "1", "csrf": old}
    assert (await tab.post("/me/tokens", data=made)).status_code == 200
    assert (await tab.post("/me/tokens", data=made)).status_code == 200
    await tab.post("/login", data={"name": "jane", "password": PASSWORD})
    late = await tab.post("/me/tokens", data=made)
    assert (
        late.status_code,
        "Load the page again" in late.text or "load the page" in late.text,
    ) == (
        403,
        True,
    )


async def test_a_logout_ends_the_session(home: House) -> None:
    jane = await home.person("jane", "viewer")
    cookie = cookie_of(jane)
    assert (await jane.post("/logout")).status_code == 403
    left = await home.post(jane, "/logout")
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert await home.people.by_session(cookie, "") is None
    assert [e["user"] for e in home.told("authentication.logout")] == ["jane"]


async def test_a_restart_keeps_sessions_and_tokens(tmp_path: Path) -> None:
    first = await house(tmp_path)
    jane = await first.person("jane", "viewer")
    made = await first.post(jane, "/me/tokens", {"name": "ci", "days": "30"})
    secret, cookies = "ast_" + made.text.split("ast_")[1][:43], dict(jane.cookies)
    await first.close()
    second = await house(tmp_path)
    browser = second.browser()
    browser.cookies.update(cookies)
    assert (await browser.get("/me")).status_code == 200
    assert (await second.program(secret).get("/v1/me")).status_code == 200
    await second.close()


async def test_no_secret_is_in_the_file_nor_in_an_event(tmp_path: Path) -> None:
    home = await house(tmp_path)
    link = (await home.program().post("/v1/people/login-links", json={})).json()["link"]
    jane = await home.person("jane", "viewer")
    made = await home.post(jane, "/me/tokens", {"name": "ci", "days": "30"})
    secrets = [link.rpartition("/")[2], made.text.split("ast_")[1][:43], cookie_of(jane)]
    secrets += [await home.csrf(jane), PASSWORD, TOKEN]
    await home.close()
    kept = _all_bytes(tmp_path)
    for secret in secrets:
        assert len(secret) > 20
        assert secret.encode() not in kept
        assert secret not in str(home.events) + str(home.reads)


def _all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_session_opens_no_rest_route_and_another_site_no_form(home: House) -> None:
    jane = await home.person("jane", "viewer")
    assert (await jane.get("/v1/me", headers={"accept": "*/*"})).status_code == 401
    data = {"csrf": await home.csrf(jane), "name": "t", "days": "1"}
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9"},
    ):
        answer = await jane.post("/me/tokens", data=data, headers=headers)
        assert (answer.status_code, "another site" in answer.text) == (403, True)
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert (await jane.post("/me/tokens", data=data, headers=own)).status_code == 200
