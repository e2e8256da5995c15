"""Every page of the site: fits both widths, reads in both themes, obeys keys, passes axe."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Console, Faults, OpenPage
from tests.browser.walk import addresses, templates
from tests.stack import wait

CONTROLS_MAX = 600  # presses of Tab before a page counts as one without an end
Axe = Callable[..., list[str]]
# The controls that a mouse reaches and that are to be reached by Tab: radios go by group.
REACHABLE = """() => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden], [type=radio]), select, textarea, summary')]
  .filter(one => one.checkVisibility({visibilityProperty: true}) && !one.disabled
    && one.tabIndex >= 0 && one.getClientRects().length).length"""
FOCUSED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  at.dataset.seen ??= String(++window.seen);
  const style = getComputedStyle(at);
  return [at.dataset.seen, at.matches('a[href], button, input, select, textarea, summary'),
    (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || at.matches('main'),
    at.outerHTML.slice(0, 150)];
}"""


@pytest.fixture(scope="package")
def ids(console: Console) -> Mapping[str, str]:
    """What stands for the names in the paths of pages."""
    return sample_ids(console)


def sample_ids(console: Console) -> Mapping[str, str]:
    (alert, *_) = console.get("/v1/alerts?limit=1")["alerts"]
    case = console.post("/v1/cases", {"title": "Who changed the retention", "by": "jane"})
    account = console.post("/v1/people", {"name": "somebody@console.test", "roles": ["viewer"]})
    console.stack.audit("publish", "--raw", "-", stdin=b"no event\n")
    wait("a quarantined message", lambda: bool(quarantined(console)), 60)
    (bad, *_) = quarantined(console)
    export = console.post("/v1/exports", {"q": "category:export"})
    return {
        "alert_id": alert["alert_id"],
        "case_id": case["case"]["case_id"],
        "name": account["account"]["name"],
        "export_id": export["id"],
        "place": f"{bad['partition']}:{bad['offset']}",
    }


def quarantined(console: Console) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = console.get("/v1/quarantine")["messages"]
    return found


def test_walk_knows_every_page(ids: Mapping[str, str]) -> None:
    assert len(addresses(ids)) >= len(templates()) > 0


@pytest.mark.parametrize("template", templates())
def test_page_fits_both_widths_and_is_accessible_in_both_themes(
    open_page: OpenPage, axe: Axe, faults: Faults, ids: Mapping[str, str], template: str
) -> None:
    faults.allow("status of 400")  # a query that is wrong is one of those looked at
    page = open_page(bypass_csp=True)
    wrong = {}
    for address in addresses(ids, template):
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="light")
        page.goto(address)
        found = [*axe(page), *overflow(page)]
        page.emulate_media(color_scheme="dark")
        found += axe(page, "color-contrast")
        page.set_viewport_size({"width": 375, "height": 800})
        found += [*axe(page), *overflow(page)]
        page.emulate_media(color_scheme="light")
        found += axe(page, "color-contrast")
        if page.locator("h1").count() != 1:
            found.append("not one h1")
        if found:
            wrong[address] = found
    assert wrong == {}


@pytest.mark.usefixtures("strict")
def test_page_breaks_no_policy_and_leaves_no_error(page: Page, ids: Mapping[str, str]) -> None:
    for address in addresses(ids):
        if "user%3A%28" not in address:  # a query that is wrong
            answer = page.goto(address)
            assert answer is not None
            assert answer.status == 200, address
            page.wait_for_timeout(150)  # for what is loaded afterwards


@pytest.mark.parametrize("template", templates())
def test_page_is_worked_by_keyboard_alone(
    page: Page, faults: Faults, ids: Mapping[str, str], template: str
) -> None:
    faults.allow("status of 400")
    for address in addresses(ids, template):
        page.goto(address)
        page.evaluate("window.seen = 0")
        expected = page.evaluate(REACHABLE)
        reached, unseen = tabbed(page)
        assert unseen == [], f"{address}: focus can't be seen"
        assert len(reached) >= min(expected, CONTROLS_MAX), address


def test_skip_link_leads_past_the_navigation(page: Page) -> None:
    page.goto("/alerts")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    assert page.locator(":focus").bounding_box()["y"] >= 0  # type: ignore[index] # it has focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def tabbed(page: Page) -> tuple[set[str], list[str]]:
    """Press Tab until it comes round; return what was reached, and what shows no focus."""
    reached: set[str] = set()
    seen: set[str] = set()
    unseen = []
    for _ in range(CONTROLS_MAX):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUSED)
        if found is None or found[0] in seen:
            break
        number, is_control, is_visible, shown = found
        seen.add(number)
        if is_control:
            reached.add(number)
        if not is_visible:
            unseen.append(shown)
    return reached, unseen


def overflow(page: Page) -> list[str]:
    """Say how much wider a page is than the screen."""
    over = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return [f"{over} px too wide"] if over > 0 else []
