"""People: first login, accounts, tokens, sessions, and who may do what with them."""

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


async def test_a_link_logs_in_once_and_looking_at_it_does_not_use_it(home: House) -> None:
    made = await home.program().post("/v1/people/login-links", json={})
    link = made.json()["link"]
    browser, other = home.browser(), home.browser()
    for _ in range(3):
        shown = await browser.get(link)
        assert (shown.status_code, "works once" in shown.text) == (200, True)
        assert (await browser.head(link)).status_code in (200, 405)
    entered = await browser.post(link)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert (await browser.get("/me")).status_code == 200
    assert (await other.post(link)).status_code == 410
    assert (await other.get(link)).status_code == 410
    assert [e["user"] for e in home.told("authentication.login.success")] == ["owner"]
    assert home.told("audit.account.created")[0]["resource_id"] == "owner"


async def test_a_link_ends_after_a_quarter_of_an_hour(home: House) -> None:
    made = await home.program().post("/v1/people/login-links", json={})
    home.clock.pass_s(15 * 60)
    assert (await home.browser().post(made.json()["link"])).status_code == 410


async def test_nobody_but_the_service_token_makes_links(home: House) -> None:
    browser = await home.person("boss", "administrator")
    made = await home.post(browser, "/me/tokens", {"name": "t", "days": "1"})
    secret = made.text.split("ast_")[1][:43]
    answer = await home.program(f"ast_{secret}").post("/v1/people/login-links", json={})
    assert answer.status_code == 403


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


async def test_the_cookie_is_for_this_host_and_no_script(home: House) -> None:
    made = await home.program().post("/v1/people/login-links", json={})
    entered = await home.browser().post(made.json()["link"])
    flags = {part.strip().lower() for part in entered.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= flags
    assert "secure" not in flags


async def test_an_invited_person_sets_a_password_before_anything_else(home: House) -> None:
    owner = await home.owner()
    form = {"name": "jane", "display": "Jane", "roles": ["analyst", "auditor"]}
    made = await home.post(owner, "/people", form)
    assert made.status_code == 200, made.text
    link = made.text.split('data-copy="')[1].split('"')[0]
    browser = home.browser()
    await browser.post(link)
    sent = await browser.get("/people")
    assert (sent.status_code, sent.headers["location"]) == (303, "/me/password")
    assert (await browser.get("/me/password")).status_code == 200
    weak = await home.post(browser, "/me/password", {"wanted": "short", "again": "short"})
    assert (weak.status_code, "12 to 256" in weak.text) == (400, True)
    named = {"wanted": "jane" * 4, "again": "jane" * 4}
    assert (await home.post(browser, "/me/password", named)).status_code == 400
    differing = {"wanted": PASSWORD, "again": PASSWORD + "x"}
    assert (await home.post(browser, "/me/password", differing)).status_code == 400
    good = {"wanted": PASSWORD, "again": PASSWORD}
    assert (await home.post(browser, "/me/password", good)).status_code == 303
    assert (await browser.get("/people")).status_code == 200
    entered = await home.browser().post("/login", data={"name": "JANE", "password": PASSWORD})
    assert entered.status_code == 303


async def test_a_wrong_name_and_a_wrong_password_look_the_same(home: House) -> None:
    await home.person("jane", "viewer")
    wrong = await home.browser().post("/login", data={"name": "jane", "password": "x" * 20})
    unknown = await home.browser().post("/login", data={"name": "joan", "password": "x" * 20})
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.text == unknown.text
    failed = home.told("authentication.login.failed")
    assert [(e["user"], e["reason"]) for e in failed] == [
        ("jane", "wrong_password"),
        ("unknown", "unknown_account"),
    ]
    assert "joan" not in str(failed)


async def test_guesses_are_slowed_down_and_told(home: House) -> None:
    await home.person("jane", "viewer")
    statuses = [
        (await home.browser().post("/login", data={"name": "jane", "password": "x"})).status_code
        for _ in range(7)
    ]
    assert statuses == [401] * 5 + [429] * 2
    right = {"name": "jane", "password": PASSWORD}
    assert (await home.browser().post("/login", data=right)).status_code == 429
    home.clock.pass_s(61)
    assert (await home.browser().post("/login", data=right)).status_code == 303


async def test_a_login_gives_a_new_cookie_and_ends_the_one_brought_along(home: House) -> None:
    browser = await home.person("jane", "viewer")
    planted = cookie_of(browser)
    await browser.post("/login", data={"name": "jane", "password": PASSWORD})
    assert cookie_of(browser) != planted
    assert await home.people.by_session(planted, "") is None


@pytest.mark.parametrize(
    ("wanted", "goal"),
    [
        ("/search?q=user%3Ajane", "/search?q=user%3Ajane"),
        ("//evil.example/x", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/login/abc", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
async def test_a_login_leads_to_our_own_pages_only(home: House, wanted: str, goal: str) -> None:
    browser = await home.person("jane", "viewer")
    form = {"name": "jane", "password": PASSWORD, "next": wanted}
    entered = await browser.post("/login", data=form)
    assert (entered.status_code, entered.headers["location"]) == (303, goal)


async def test_a_stranger_is_led_to_the_login_and_back(home: House) -> None:
    sent = await home.browser().get("/people/a%2Fb?x=1%202")
    assert sent.headers["location"] == "/login?next=%2Fpeople%2Fa%252Fb%3Fx%3D1%25202"
    shown = await home.browser().get(sent.headers["location"])
    assert 'value="/people/a%2Fb?x=1%202"' in shown.text


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


async def test_guesses_of_the_current_password_count_with_those_at_the_login(home: House) -> None:
    jane = await home.person("Jane", "viewer")
    wrong = {"current": "x" * 12, "wanted": PASSWORD, "again": PASSWORD}
    for _ in range(5):
        assert (await home.post(jane, "/me/password", wrong)).status_code == 400
    right = {"name": "jane", "password": PASSWORD}
    assert (await home.browser().post("/login", data=right)).status_code == 429


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
