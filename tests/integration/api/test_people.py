"""People: who changes accounts and roles, and what then holds at once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api.people import PASSWORD, House, cookie_of, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    made = await house(tmp_path)
    yield made
    await made.close()


async def test_what_an_administrator_changes_holds_at_once(home: House) -> None:
    owner, jane = await home.owner(), await home.person("jane", "administrator")
    made = await home.post(jane, "/me/tokens", {"name": "ci", "days": "30"})
    token = home.program("ast_" + made.text.split("ast_")[1][:43])
    assert (await token.get("/v1/people")).status_code == 200
    form = {"display": "Jane", "roles": ["viewer"], "tenant": "acme"}
    assert (await home.post(owner, "/people/jane", form)).status_code == 303
    assert (await jane.get("/people")).status_code == 403
    assert (await token.get("/v1/people")).status_code == 401  # no role is left of the token's
    seen = await home.people.by_session(cookie_of(jane), "")
    assert seen is not None
    assert seen.tenant == "acme"
    changed = home.told("audit.account.updated")[-1]["details"]
    assert (changed["before"]["roles"], changed["after"]["roles"]) == (
        ["administrator"],
        ["viewer"],
    )
    assert (await home.post(owner, "/people/jane/disable")).status_code == 303
    assert (await jane.get("/me")).status_code == 303  # to the login
    assert home.told("audit.account.disabled")[0]["resource_id"] == "jane"
    right = {"name": "jane", "password": PASSWORD}
    assert (await home.browser().post("/login", data=right)).status_code == 401


async def test_a_reset_ends_sessions_and_password(home: House) -> None:
    owner, jane = await home.owner(), await home.person("jane", "viewer")
    made = await home.post(owner, "/people/jane/reset")
    assert made.status_code == 200
    assert (await jane.get("/me")).status_code == 303
    right = {"name": "jane", "password": PASSWORD}
    assert (await home.browser().post("/login", data=right)).status_code == 401
    link = made.text.split('data-copy="')[1].split('"')[0]
    again = home.browser()
    assert (await again.post(link)).status_code == 303
    assert (await again.get("/me")).headers["location"] == "/me/password"


@pytest.mark.parametrize("ending", ["reset", "disable"])
async def test_a_reset_and_a_disabling_revoke_the_tokens_each_with_its_event(
    home: House, ending: str
) -> None:
    owner, jane = await home.owner(), await home.person("jane", "viewer")
    secrets = []
    for name in ("a", "b"):
        made = await home.post(jane, "/me/tokens", {"name": name, "days": "30"})
        secrets.append("ast_" + made.text.split("ast_")[1][:43])
    made = await home.post(owner, f"/people/jane/{ending}")
    assert made.status_code in (200, 303)
    revoked = home.told("audit.token.revoked")
    assert sorted(e["details"]["token_name"] for e in revoked) == ["a", "b"]
    assert {e["user"] for e in revoked} == {"owner"}
    if ending == "disable":
        await home.post(owner, "/people/jane/enable")
    else:
        browser = home.browser()
        await browser.post(made.text.split('data-copy="')[1].split('"')[0])
        await home.post(browser, "/me/password", {"wanted": PASSWORD * 2, "again": PASSWORD * 2})
        assert (await browser.get("/me")).status_code == 200
    for secret in secrets:
        assert await home.people.by_token(secret, "") is None


async def test_what_may_not_be_disabled_keeps_its_tokens(home: House) -> None:
    boss = await home.person("boss", "administrator")
    made = await home.post(boss, "/me/tokens", {"name": "t", "days": "30"})
    secret = "ast_" + made.text.split("ast_")[1][:43]
    refused = await home.program().patch("/v1/people/boss", json={"disabled": True})
    assert refused.status_code == 409
    assert await home.people.by_token(secret, "") is not None
    assert home.told("audit.token.revoked") == []


async def test_the_last_administrator_stays(home: House) -> None:
    program = home.program()
    await home.person("boss", "administrator")
    for change in ({"disabled": True}, {"roles": ["viewer"]}, {"tenant": "acme"}):
        answer = await program.patch("/v1/people/boss", json=change)
        assert (answer.status_code, "last administrator" in answer.text) == (409, True)
    await home.person("second", "administrator")
    assert (await program.patch("/v1/people/boss", json={"disabled": True})).status_code == 200
    assert (await program.patch("/v1/people/second", json={"disabled": True})).status_code == 409


async def test_nobody_changes_their_own_rights(home: House) -> None:
    await home.owner()
    boss = await home.person("boss", "administrator")
    form = {"display": "Boss", "roles": ["administrator", "analyst"]}
    assert (await home.post(boss, "/people/boss", form)).status_code == 403
    assert (await home.post(boss, "/people/boss/disable")).status_code == 403
    only = {"display": "The boss", "roles": ["administrator"]}
    assert (await home.post(boss, "/people/boss", only)).status_code == 303


async def test_an_administrator_of_a_tenant_stays_within_it(home: House) -> None:
    await home.person("other", "viewer", tenant="umbrella")
    await home.person("mate", "viewer", tenant="acme")
    boss = await home.person("boss", "administrator", tenant="acme")
    assert "umbrella" not in (await boss.get("/people.json")).text
    assert (await boss.get("/people/other")).status_code == 404
    assert (await home.post(boss, "/people/other/disable")).status_code == 404
    beyond = {"name": "new", "roles": ["analyst"], "tenant": "umbrella"}
    assert (await home.post(boss, "/people", beyond)).status_code == 403
    within = {"name": "new", "roles": ["analyst"], "tenant": ""}
    assert (await home.post(boss, "/people", within)).status_code == 200
    made = (await home.program().get("/v1/people/new")).json()
    assert made["tenant"] == "acme"
    wider = {"display": "Mate", "roles": ["viewer"], "tenant": ""}
    assert (await home.post(boss, "/people/mate", wider)).status_code == 303
    assert (await home.program().get("/v1/people/mate")).json()["tenant"] == "acme"


async def test_nobody_is_given_the_tenant_in_which_operators_reads_are(home: House) -> None:
    own = {"name": "spy", "roles": ["auditor"], "tenant": "audit-console"}
    assert (await home.program().post("/v1/people", json=own)).status_code == 400
    token = {"name": "t", "days": 30, "tenant": "audit-console"}
    assert (await home.program().post("/v1/tokens", json=token)).status_code == 400


async def test_an_auditor_sees_people_and_changes_nothing(home: House) -> None:
    await home.person("jane", "viewer")
    auditor = await home.person("audrey", "auditor")
    shown = await auditor.get("/people")
    assert "jane" in shown.text
    assert "Make an account" not in shown.text
    assert "Disable" not in (await auditor.get("/people/jane")).text
    assert (await home.post(auditor, "/people/jane/disable")).status_code == 403
