"""People who log in: by a link, by a password, and by guesses."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.api.people import PASSWORD, House, cookie_of, house


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


async def test_guesses_of_the_current_password_count_with_those_at_the_login(home: House) -> None:
    jane = await home.person("Jane", "viewer")
    wrong = {"current": "x" * 12, "wanted": PASSWORD, "again": PASSWORD}
    for _ in range(5):
        assert (await home.post(jane, "/me/password", wrong)).status_code == 400
    right = {"name": "jane", "password": PASSWORD}
    assert (await home.browser().post("/login", data=right)).status_code == 429
