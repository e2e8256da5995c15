"""The questions of the seed, each answered by at most two clicks from the search page."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Faults, OpenPage
from tests.browser.scene import ADMIN, GRACE, INTRUDER, JANE, RECORD, S_JANE, TOM

CLICKS_MAX = 2


class Clicker:
    """Clicks links, and counts them: what is typed into the search is the question."""

    def __init__(self, page: Page, question: str) -> None:
        self.page = page
        self.clicks = 0
        page.goto(f"/search?q={quote(question)}")

    def in_row(self, name: str | re.Pattern[str]) -> None:
        """Click a link of the first row found."""
        self._click(self.page.locator("#rows > tr[data-row]").first, name)
        self.page.wait_for_url(lambda url: "/search" not in url)

    def click(self, name: str | re.Pattern[str]) -> None:
        """Click a link of the page, which leads elsewhere."""
        self._click(self.page.get_by_role("main"), name)

    def _click(self, within: Locator, name: str | re.Pattern[str]) -> None:
        self.clicks += 1
        assert self.clicks <= CLICKS_MAX
        # the link that opens a row names its user, too
        within.get_by_role("link", name=name, exact=isinstance(name, str)).first.click()


def test_who_changed_this_setting_and_when(page: Page) -> None:
    clicker = Clicker(page, "resource:voice_recordings action:settings.*")
    clicker.in_row(re.compile("voice_recordings"))
    history = page.locator("#history")
    expect(history.locator("li")).to_have_count(3)
    expect(history.locator("li").first).to_contain_text(GRACE)
    second = history.locator("li").nth(1)
    expect(second).to_contain_text(ADMIN)
    expect(second).to_contain_text("90 days")
    expect(second).to_contain_text("180 days")
    expect(second).to_contain_text("compliance requirement update")


def test_what_a_setting_was_at_a_moment(page: Page) -> None:
    clicker = Clicker(page, "resource:voice_recordings action:settings.*")
    clicker.in_row(re.compile("voice_recordings"))
    page.get_by_label("At (UTC)").fill("90m")
    page.get_by_role("button", name="Show the value then").click()
    expect(page.locator("#value tbody")).to_contain_text("180 days")
    expect(page.locator("#value tbody")).to_contain_text(f"set by {ADMIN}")


def test_did_this_user_access_this_data_and_who_else_did(page: Page) -> None:
    clicker = Clicker(page, f"resource_id:{RECORD} resource:voice_call_records user:{JANE}")
    clicker.in_row(re.compile("voice_call_records"))
    clicker.click("Who accessed it")
    people = page.get_by_role("row")
    for user in (JANE, TOM, GRACE):
        expect(people.filter(has_text=user)).to_have_count(1)
    expect(people.filter(has_text=JANE)).to_contain_text("customer complaint 881")
    page.get_by_label("Did this user?").fill(JANE)
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#verdict")).to_contain_text(f"Yes: {JANE} accessed")
    expect(page.locator("#verdict")).to_contain_text("3 times")


def test_who_did_not_access_it_is_told_with_the_ledger(page: Page) -> None:
    page.goto(f"/access?resource=voice_call_records&resource_id={RECORD}&user=nobody")
    expect(page.locator("#verdict")).to_contain_text("No event says that nobody accessed")
    expect(page.locator("#verdict")).to_contain_text("ledger")


def test_what_happened_before_the_system_misbehaved(page: Page) -> None:
    clicker = Clicker(page, "action:security.mfa.disabled event:scene-*")
    clicker.in_row(re.compile(r"\d\d:\d\d"))
    clicker.click(re.compile("[Tt]imeline"))
    expect(page.locator("#moment")).to_be_visible()
    entries = page.locator(".around li")
    expect(entries.filter(has_text="permission.role.granted")).to_have_count(1)
    expect(entries.filter(has_text="settings.retention_policy.updated").first).to_be_visible()


@pytest.mark.parametrize(
    ("question", "link", "title"),
    [
        (f"user:{GRACE}", GRACE, f"User {GRACE}"),
        (f"user:{GRACE}", INTRUDER, f"Address {INTRUDER}"),
    ],
)
def test_everything_of_one_thing(page: Page, question: str, link: str, title: str) -> None:
    clicker = Clicker(page, question)
    clicker.in_row(link)
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    expect(page.get_by_role("img", name=re.compile("hour and weekday"))).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("failure")
    expect(page.locator("#alerts")).to_be_visible()


def test_everything_of_one_session(page: Page) -> None:
    clicker = Clicker(page, f"user:{JANE}")
    clicker.in_row(JANE)
    clicker.click(S_JANE)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Session {S_JANE}")
    expect(page.get_by_role("main")).to_contain_text("authentication.logout")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Access control", "Changes of roles and permissions"),
        ("Protected records", "Who accessed protected data"),
    ],
)
def test_report_is_two_clicks_away_and_its_figures_lead_to_events(
    page: Page, name: str, said: str
) -> None:
    page.goto("/search")
    page.get_by_role("navigation").get_by_role("link", name="Reports").click()
    panel = page.locator(".panel").filter(has_text=name)
    panel.get_by_role("button", name="Make the report").click()
    expect(page.get_by_role("main")).to_contain_text(said)
    expect(page.get_by_role("main")).to_contain_text("The ledger balances")
    figure = page.locator(".report .stat a").first
    figure.click()
    page.wait_for_url(re.compile("/search"))


def test_data_subject_report_asks_who_it_is_about(page: Page) -> None:
    page.goto("/reports")
    page.get_by_label("Person").fill(JANE)
    panel = page.locator(".panel").filter(has_text="Data subject")
    panel.get_by_role("button").click()
    expect(page.get_by_role("main")).to_contain_text("What this person did")


def test_report_prints_on_paper_without_what_is_for_the_screen(page: Page, tmp_path: Path) -> None:
    page.goto("/reports/access-control")
    page.emulate_media(media="print")
    expect(page.locator("form.filters")).to_be_hidden()
    expect(page.locator("section.report").first).to_be_visible()
    file = tmp_path / "report.pdf"
    page.pdf(path=file, prefer_css_page_size=True)
    assert file.read_bytes().startswith(b"%PDF")


def test_viewers_may_make_no_reports(open_page: OpenPage, faults: Faults) -> None:
    faults.allow("403")
    answer = open_page(role="viewer").goto("/reports")
    assert answer is not None
    assert answer.status == 403
