"""The harness itself: what goes wrong on a page fails the test, and the scene is there."""

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Console, Faults
from tests.browser.scene import EVENTS


def test_scene_is_stored_and_has_raised_an_alert(console: Console) -> None:
    for event in (EVENTS[0], EVENTS[-1]):
        assert console.get(f"/v1/events/{event['event_id']}")["event"]["user"] == event["user"]
    assert console.get("/v1/alerts?limit=1")["alerts"]


def test_page_that_is_not_there_is_a_designed_state(page: Page, faults: Faults) -> None:
    faults.allow("404")
    answer = page.goto("/no-such-page")
    assert answer is not None
    assert answer.status == 404
    assert page.get_by_role("heading", level=1).is_visible()
    page.get_by_role("link", name="To the first page").wait_for()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("console.error('seen')", id="console"),
        pytest.param("setTimeout(() => { throw new Error('seen') })", id="page error"),
        pytest.param("fetch('http://127.0.0.1:1/').catch(() => 0)", id="request and policy"),
        pytest.param("document.body.setAttribute('style', 'color: red')", id="inline style"),
    ],
)
def test_what_goes_wrong_on_a_page_is_seen(page: Page, faults: Faults, fault: str) -> None:
    faults.allow("404")
    page.goto("/no-such-page")
    page.evaluate(fault)
    page.wait_for_timeout(200)
    assert faults.unexpected
    faults.allow("")
