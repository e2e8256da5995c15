"""Alerts, rules and cases in a real browser: by keyboard, on a phone, without JavaScript."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console.alerts.fold import folded
from tests.browser.conftest import Console, OpenPage

WIDTHS = (375, 1440)


def worst(console: Console) -> dict[str, Any]:
    """Return the alert that the queue has first."""
    return dict(folded(console.get("/alerts.json")["alerts"])[0].alert)


def test_keyboard_alone_takes_the_worst_alert_reads_its_events_and_resolves_it(
    page: Page, console: Console
) -> None:
    first = worst(console)
    page.goto("/alerts")
    page.keyboard.press("j")
    expect(page.locator("tr.here")).to_contain_text(first["title"])
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/alerts/{first['alert_id']}")
    events = page.get_by_role("region", name="Events behind the alert")
    expect(events.locator("tbody tr")).to_have_count(len(first["event_ids"]))
    expect(page.get_by_text("Why it matters")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator(".heading")).to_contain_text("acknowledged")
    page.keyboard.press("r")
    expect(page.locator(".heading")).to_contain_text("resolved")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    page.keyboard.press("u")
    page.wait_for_url("**/alerts")
    assert first["alert_id"] not in page.content()
    page.goto(f"/alerts/{first['alert_id']}")
    page.keyboard.press("o")
    expect(page.locator(".heading")).to_contain_text("open")


def test_keys_of_the_queue_act_on_the_row_or_on_all_that_are_checked(
    page: Page, console: Console
) -> None:
    # each alone: what one user did within an hour is one row otherwise
    ids = [one["alert_id"] for one in console.get("/alerts.json?grouped=false")["alerts"]][-3:]
    page.goto("/alerts?grouped=false")
    expect(page.get_by_role("button", name="Acknowledge")).to_be_disabled()
    rows = page.locator("tr[data-row]")
    for _ in range(rows.count()):
        page.keyboard.press("j")
    page.keyboard.press("a")
    page.wait_for_url("**/alerts?grouped=false&changed=1")
    expect(page.get_by_text("1 alert was changed.")).to_be_visible()
    assert console.get(f"/v1/alerts/{ids[-1]}")["alert"]["status"] == "acknowledged"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Resolve")
    page.keyboard.press("Escape")
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("[data-checked]")).to_have_text("2")
    page.keyboard.press("a")
    page.wait_for_url("**/alerts?grouped=false&changed=2")


def test_a_runbooks_command_leads_to_the_same_search(page: Page, console: Console) -> None:
    for one in console.get("/alerts.json")["alerts"]:
        if one["runbook"] and "audit search --user" in one["runbook"]:
            break
    else:
        pytest.fail("no alert of the scene has a search in its runbook")
    page.goto(f"/alerts/{one['alert_id']}")
    page.locator(".runbook a").first.click()
    page.wait_for_url("**/search?q=*")
    expect(page.locator("tr[data-row]").first).to_be_visible()


def test_a_case_is_made_from_an_alert_by_keyboard_and_noted_and_closed(
    page: Page, console: Console
) -> None:
    first = worst(console)
    page.goto(f"/alerts/{first['alert_id']}")
    page.keyboard.press("c")
    page.get_by_label("Title").wait_for()
    page.keyboard.type("Who did that")
    page.keyboard.press("Enter")
    page.wait_for_url("**/cases/case-*")
    expect(page.locator(".timeline")).to_contain_text(first["title"])
    page.get_by_label("Event", exact=True).fill(first["event_ids"][0])
    page.get_by_label("Event", exact=True).press("Enter")
    expect(page.get_by_text("1 added")).to_be_visible()
    page.get_by_label("Note", exact=True).first.fill("phoned them")
    page.get_by_role("button", name="Add the note").click()
    expect(page.locator(".timeline")).to_contain_text("phoned them")
    expect(page.locator(".timeline > li")).to_have_count(3)
    page.get_by_label("Status").select_option("closed")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".heading")).to_contain_text("closed")
    with page.expect_download() as download:
        page.get_by_role("link", name="JSON, whole").click()
    assert download.value.suggested_filename.startswith("case-")


def test_two_analysts_who_save_one_case_are_told_and_nothing_is_lost(
    open_page: OpenPage, console: Console, faults: Any
) -> None:
    faults.allow("409")
    case_id = console.post("/v1/cases", {"title": "Two at once"})["case"]["case_id"]
    one, two = open_page(), open_page()
    for page in (one, two):
        page.goto(f"/cases/{case_id}")
    one.get_by_label("Title").fill("The first title")
    one.get_by_role("button", name="Save").click()
    expect(one.locator("h1")).to_have_text("The first title")
    two.get_by_label("Title").fill("The second title")
    two.get_by_role("button", name="Save").click()
    expect(two.locator("h1")).to_have_text("Somebody else was faster")
    expect(two.locator("main")).to_contain_text("The first title")
    two.get_by_role("button", name="Save mine over it").click()
    expect(two.locator("h1")).to_have_text("The second title")


def test_a_false_positive_gets_a_filled_in_exception_to_copy(page: Page, console: Console) -> None:
    for one in console.get("/alerts.json?order=newest")["alerts"]:
        if console.get(f"/alerts/{one['alert_id']}.json")["exception"]:
            break
    else:
        pytest.fail("no alert of the scene is of a rule that can have an exception")
    page.goto(f"/alerts/{one['alert_id']}")
    page.get_by_text("Propose an exception").click()
    page.get_by_label("Why it is no finding").fill("a drill")
    page.get_by_role("button", name="Propose").click()
    expect(page.locator("h1")).to_have_text("Proposed exception")
    expect(page.get_by_label("The exception, as YAML")).to_contain_text("reason: a drill")
    expect(page.get_by_label("The command")).to_contain_text("audit rules except")
    assert console.get(f"/v1/alerts/{one['alert_id']}")["alert"]["status"] == "false_positive"


def test_without_javascript_alerts_are_read_and_worked_on(
    open_page: OpenPage, console: Console
) -> None:
    page = open_page(java_script_enabled=False)
    first = worst(console)
    page.goto("/alerts")
    box = page.locator(f"input[value='{first['alert_id']}']")
    box.check()
    page.locator("#f-note").fill("seen without scripts")
    page.get_by_role("button", name="Only note").click()
    page.goto(f"/alerts/{first['alert_id']}")
    expect(page.locator(".timeline")).to_contain_text("seen without scripts")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_their_width_and_axe_finds_nothing_serious(
    open_page: OpenPage,
    axe: Callable[[Page], list[str]],
    console: Console,
    width: int,
    *,
    dark: bool,
) -> None:
    first = worst(console)
    case_id = console.post("/v1/cases", {"title": "Looks"})["case"]["case_id"]
    console.post(
        f"/v1/cases/{case_id}/members",
        {"alert_ids": [first["alert_id"]], "event_ids": [first["event_ids"][0]]},
    )
    page = open_page(width=width, dark=dark, bypass_csp=True)
    for path in (
        "/alerts",
        "/alerts?severity=info",
        f"/alerts/{first['alert_id']}",
        "/rules",
        f"/rules?rule={first['rule_id']}",
        "/cases",
        f"/cases/{case_id}",
        f"/cases/{case_id}/export",
    ):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert axe(page) == [], path
