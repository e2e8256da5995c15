"""The search page as people use it: ask, narrow down, look closer, open, follow, save."""

import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from console.query.parse import parse
from tests.browser.conftest import Console, Faults
from tests.browser.scene import ADMIN, JANE, TOM, moment, of

OpenPage = Callable[..., Page]


PATIENCE_MS = 20_000  # eight processes share two cores at times


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE_MS)
    yield
    expect.set_options(timeout=5_000)


def asked(page: Page) -> dict[str, str]:
    """Return the parameters of the address that the page is at."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def rows(page: Page) -> Any:
    return page.locator("#rows > tr[data-row]")


def look(page: Page, q: str) -> None:
    page.goto("/search")
    page.get_by_label("Query").fill(q)
    page.get_by_label("Query").press("Escape")
    page.get_by_label("Query").press("Enter")
    page.wait_for_url(re.compile(r"/search\?q="))


def test_typing_a_query_finds_its_events_and_counts_them(page: Page) -> None:
    look(page, f"user:{JANE} action:data.record.viewed event:scene-*")

    expect(rows(page)).to_have_count(3)
    expect(page.locator("#count")).to_have_text("3 of 3 events, newest first")
    expect(page.locator("#over-time svg.histogram")).to_be_visible()
    expect(page.locator("#facets")).to_contain_text("data.record.viewed")


def test_completion_offers_fields_and_values_and_takes_them_by_keyboard(page: Page) -> None:
    page.goto("/search")
    box = page.get_by_label("Query")
    box.press_sequentially("resul")
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("result:")
    box.press("ArrowDown")
    box.press("Enter")
    expect(box).to_have_value("result:")
    expect(page.get_by_role("option", name="denied")).to_be_visible()
    box.press_sequentially("den")
    expect(options).to_have_count(1)
    box.press("ArrowDown")
    box.press("Tab")
    expect(box).to_have_value("result:denied")
    expect(page.locator("#suggest")).to_have_count(0)
    box.press("Enter")
    page.wait_for_url(re.compile("q=result%3Adenied"))


def test_a_wrong_query_points_at_the_character(page: Page, faults: Faults) -> None:
    faults.allow("400")
    look(page, "user:jane* risk>many")

    wrong = page.locator("#fault")
    expect(wrong).to_be_visible()
    text, caret = wrong.locator("pre").inner_text().split("\n")[:2]
    assert text[caret.index("^") :].startswith("many")
    expect(page.get_by_label("Query")).to_have_value("user:jane* risk>many")
    expect(page.get_by_label("Query")).to_have_attribute("aria-invalid", "true")


def test_a_row_opens_in_place_and_closes_again(page: Page) -> None:
    look(page, "event:scene-* action:settings.*")
    first = rows(page).first.locator("a[data-open]")
    first.click()

    opened = page.locator("tr.opened")
    expect(opened).to_contain_text("What changed")
    expect(opened).to_contain_text("1 day")
    expect(opened).to_contain_text("Where it comes from")
    expect(first).to_have_attribute("aria-expanded", "true")
    first.click()
    expect(opened).to_have_count(0)


def test_rows_are_checked_by_keyboard_and_go_into_a_case(page: Page) -> None:
    look(page, f"user:{JANE} action:data.record.viewed event:scene-*")
    expect(page.get_by_role("button", name="Add to a case")).to_be_disabled()
    rows(page).first.locator("td.num").first.click()
    for key in ("j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("[data-checked]")).to_have_text("2")
    page.keyboard.press("c")
    expect(page.get_by_role("main")).to_contain_text("2 things to add")


def test_a_value_narrows_down_and_alt_leaves_it_out(page: Page) -> None:
    page.goto("/search?q=event:scene-*")
    page.locator("#facets a", has_text=TOM).first.click()
    page.wait_for_url(re.compile("tom.evans"))
    assert asked(page)["q"] == f"event:scene-* user:{TOM}"
    expect(page.locator("#facets a[aria-current]", has_text=TOM)).to_be_visible()

    page.goto("/search?q=event:scene-*")
    page.locator("#facets a", has_text=TOM).first.click(modifiers=["Alt"])
    page.wait_for_url(re.compile("-user"))
    assert asked(page)["q"] == f"event:scene-* -user:{TOM}"


def test_a_condition_is_taken_away_by_its_chip(page: Page) -> None:
    page.goto(f"/search?q=event:scene-* user:{TOM} risk<100")
    page.get_by_label(f"Remove user:{TOM}").click()
    page.wait_for_url(re.compile("/search"))

    assert parse(asked(page)["q"]) == parse("event:scene-* risk<100")


def test_dragging_over_the_chart_looks_closer(page: Page) -> None:
    page.goto("/search?q=event:scene-*")
    chart = page.locator("#over-time svg.histogram")
    expect(chart).to_be_visible()
    frame = chart.bounding_box()
    assert frame is not None
    middle = frame["y"] + frame["height"] / 2
    page.mouse.move(frame["x"] + frame["width"] * 0.5, middle)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.7, middle, steps=4)
    expect(chart.locator(".selection")).to_have_count(1)
    page.mouse.move(frame["x"] + frame["width"] - 1, middle, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile("since="))

    assert moment(30) < asked(page)["since"] < asked(page)["until"]
    expect(page.locator("#rows")).not_to_contain_text("authentication.logout")
    expect(page.locator(".chips")).to_contain_text("from ")


def test_the_chart_is_one_tab_stop_and_arrows_walk_it(page: Page) -> None:
    page.goto("/search?q=event:scene-*")
    chart = page.locator("#over-time svg.histogram")
    expect(chart.locator("a[tabindex='0']")).to_have_count(1)
    chart.locator("a[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("since="))

    assert asked(page)["since"] == label.split(": ")[0]


def test_live_tail_shows_what_comes_and_stops(page: Page, console: Console) -> None:
    who = f"live-{secrets.token_hex(4)}"
    page.goto(f"/search?q=user:{who}")
    expect(page.get_by_text("No event is like that")).to_be_visible()
    page.goto(f"/search?q=user:({who} OR {TOM})")
    page.get_by_text("Live tail").click()
    expect(page.locator("#tail")).to_contain_text("Live: 0 new events")
    console.publish(
        {
            "event_id": f"{who}-1",
            "timestamp": moment(179),
            "user": who,
            "action": "data.record.viewed",
            "reason": "<b>text</b>",
        }
    )

    expect(rows(page).first).to_contain_text(who)
    expect(page.locator("#tail")).to_contain_text("Live: 1 new event.")
    rows(page).first.locator("a[data-open]").click()
    expect(page.locator("tr.opened")).to_contain_text("<b>text</b>")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#tail")).to_be_hidden()


def test_a_search_is_saved_run_and_deleted(page: Page) -> None:
    name = f"Tom's <i>exports</i> {secrets.token_hex(3)}"
    page.goto(f"/search?q=user:{TOM} category:export&since=7d")
    page.locator("summary", has_text="Saved").click()
    page.get_by_label("Save this search as").fill(name)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/searches")

    page.get_by_role("link", name=name).click()
    page.wait_for_url(re.compile("/search"))
    assert asked(page)["q"] == f"(user:{TOM} category:export) since:7d"
    expect(rows(page)).to_have_count(1)

    page.goto("/searches")
    row = page.locator("tr", has_text=name)
    row.get_by_role("button", name="Delete").click()
    page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_columns_are_chosen_and_stay_in_the_address(page: Page) -> None:
    page.goto(f"/search?q=user:{TOM} category:export")
    page.locator("summary", has_text="Columns").click()
    page.locator(".columns a", has_text="Session").click()
    page.wait_for_url(re.compile("columns="))
    assert asked(page)["columns"].endswith("session_id")
    expect(page.locator("thead")).to_contain_text("Session")

    page.locator("summary", has_text="Columns").click()
    page.get_by_label("All columns, in their order").fill("user,details.record_count")
    page.get_by_role("button", name="Show these").click()
    page.wait_for_url(re.compile("record_count"))
    expect(rows(page).first).to_contain_text("52301")


def test_all_of_it_by_keyboard_only(page: Page) -> None:
    page.goto("/search")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type(f"event:scene-* user:{ADMIN} action:settings.*")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=event"))
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("tr.opened")).to_contain_text("180 days")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/events/"))
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def test_the_event_page_leads_to_what_lies_around(page: Page) -> None:
    first = of(action="settings.retention_policy.updated", user=ADMIN)[0]
    page.goto(f"/events/{first['event_id']}")
    expect(page.locator("#around tr.this")).to_contain_text("this event")
    page.locator("#around").get_by_role("link", name="This resource").click()
    page.wait_for_url(re.compile("around=resource"))

    expect(page.locator("#around tr")).not_to_have_count(0)
    expect(page.locator("#around")).to_contain_text("grace.kim")


@pytest.mark.parametrize("address", ["/search?q=event:scene-*&facets=1", "/events/scene-010"])
def test_pages_read_without_javascript(open_page: OpenPage, address: str) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(address)

    expect(page.get_by_role("heading", level=1).first).to_be_attached()
    assert page.locator("tr[data-row]").count() > 1
    if "search" in address:
        assert page.locator("svg.histogram a").count() > 1
        page.locator("#rows a.open").first.click()
        page.wait_for_url(re.compile("/events/"))
    else:
        expect(page.locator("body")).to_contain_text("With lines and indents")


@pytest.mark.parametrize("width", [1440, 375])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    "address", ["/search?q=event:scene-*", "/events/scene-010", "/searches", "/search?q=risk>many"]
)
def test_pages_fit_and_have_no_serious_fault_of_access(
    open_page: OpenPage,
    axe: Callable[[Page], list[str]],
    faults: Faults,
    *,
    address: str,
    dark: bool,
    width: int,
) -> None:
    faults.allow("400")
    page = open_page(width=width, dark=dark, bypass_csp=True)
    page.goto(address)
    if "scene-*" in address:
        expect(page.locator("#over-time svg.histogram")).to_be_visible()
        expect(page.locator("#facets details").first).to_be_attached()
        page.locator("a[data-open]").first.click()
        expect(page.locator("tr.opened article")).to_be_visible()

    assert axe(page) == []
    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow <= 0
