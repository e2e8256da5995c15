"""A running stack with the scene's events in it, and pages of it in a real Chromium.

`page` is 1440 px wide, `phone` 375, `dark` 1440 and dark; each is logged in with all roles,
by a one-time link as people are, and fails its test for any console error, blocked script, failed
request or error of a page. A test that means such a fault says so: `faults.allow("404")`. Tests
here are plain functions, not async: Playwright's own loop runs beneath them.
`open_page(width=…, dark=…, role=…)` makes more: role "viewer", "analyst", … or "" for a stranger.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    StorageState,
)

from console.access import ROLES
from tests.browser.chromium import ABSENT, browsing, is_there
from tests.browser.scene import EVENTS
from tests.stack import Stack, lines, running, wait

HERE: Final = Path(__file__).parent
TIMEOUT_S: Final = 300  # the first test waits for the stack
WAIT_MS: Final = 15_000  # for anything on a page; eight processes share two cores at times
EVERY_ROLE: Final = "everybody"  # stands for all roles at once
PASSWORD: Final = "correct horse battery staple 7"
SERIOUS: Final = frozenset({"serious", "critical"})

Event = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests of this folder the time that a stack and a browser take."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@dataclass(slots=True)
class Console:
    """The running console: where it is, and how to put more into it."""

    stack: Stack
    url: str
    token: str = field(repr=False)

    def ask(self, path: str) -> httpx.Response:
        """Ask for a path with the service's token."""
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.get(self.url + path, headers=headers, timeout=30)

    def get(self, path: str) -> Any:
        """Return what a REST path, or a page's .json, answers to the service's token."""
        return self.ask(path).raise_for_status().json()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Post to a REST path with the service's token; return what it answers."""
        headers = {"authorization": f"Bearer {self.token}"}
        answer = httpx.post(self.url + path, headers=headers, json=body, timeout=30)
        return answer.raise_for_status().json()

    def publish(self, *events: Event) -> None:
        """Publish events that have an event_id, and return once they are stored."""
        self.stack.audit("publish", "-", stdin=lines(events))
        for event in (events[0], events[-1]):
            self._wait_for(f"/v1/events/{event['event_id']}")

    def _wait_for(self, path: str) -> None:
        wait(f"{path} to be there", lambda: self.ask(path).is_success, 60, tell=self.stack.tail)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not is_there():
        pytest.skip(ABSENT)
    with browsing() as opened:
        yield opened


@dataclass(slots=True)
class Doors:
    """Sessions of the console, one for each role, made by the login link that its account got."""

    browser: Browser
    console: Console
    _states: dict[str, StorageState] = field(default_factory=dict)

    def state(self, role: str) -> StorageState | None:
        """Return the cookies of somebody with a role, or with all of them; none for a stranger."""
        if role and role not in self._states:
            self._states[role] = self._log_in(self._link(role))
        return self._states.get(role)

    def _link(self, role: str) -> str:
        roles = list(ROLES) if role == EVERY_ROLE else [role]
        asked = {"name": f"{role}@console.test", "roles": roles}
        return str(self.console.post("/v1/people", asked)["login"]["link"])

    def _log_in(self, link: str) -> StorageState:
        with self.browser.new_context() as context:
            page = context.new_page()
            page.goto(link)
            page.get_by_role("main").get_by_role("button", name="Log in").click()
            page.wait_for_url(lambda url: "/login" not in url)
            if page.url.endswith("/me/password"):
                page.get_by_label("New password", exact=True).fill(PASSWORD)
                page.get_by_label("again").fill(PASSWORD)
                page.get_by_role("main").get_by_role("button").first.click()
                page.wait_for_url(lambda url: not url.endswith("/me/password"))
            return context.storage_state()


@pytest.fixture(scope="package")
def doors(browser: Browser, console: Console) -> Doors:
    return Doors(browser, console)


@pytest.fixture(scope="package")
def console(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """The console, with the scene stored and its first alert raised."""
    del browser  # without one there is nothing to start
    with running(tmp_path_factory.mktemp("browser") / "data") as stack:
        port = json.loads((stack.data / "ports.json").read_text())["api"]
        token = (stack.data / "token").read_text().strip()
        started = Console(stack, f"http://127.0.0.1:{port}", token)
        started.publish(*EVENTS)
        wait("an alert", lambda: has_alert(started), 60, tell=stack.tail)
        yield started


def has_alert(console: Console) -> bool:
    """Say whether a rule has found something."""
    return bool(console.get("/v1/alerts?limit=1")["alerts"])


class Faults:
    """What went wrong on the pages of a test; empty, or its end fails."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._allowed: list[str] = []

    def allow(self, *parts: str) -> None:
        """Take no fault with such a part in it for one."""
        self._allowed += parts

    def watch(self, context: BrowserContext) -> None:
        """Note all that goes wrong on any page of a context."""
        context.on("console", self._note_console)
        context.on("weberror", lambda fault: self.seen.append(f"page error: {fault.error}"))
        context.on("requestfailed", self._note_failed)
        context.on("dialog", self._note_dialog)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} or "Content Security Policy" in message.text:
            self.seen.append(f"console {message.type}: {message.text}")

    def _note_dialog(self, dialog: Dialog) -> None:
        self.seen.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _note_failed(self, request: Request) -> None:
        # a page that is left ends what it was still fetching, such as a live tail
        if request.failure != "net::ERR_ABORTED":
            self.seen.append(f"request failed: {request.url}: {request.failure}")

    @property
    def unexpected(self) -> list[str]:
        """All that nobody allowed."""
        return [one for one in self.seen if not any(part in one for part in self._allowed)]


@pytest.fixture
def faults() -> Iterator[Faults]:
    noted = Faults()
    yield noted
    assert noted.unexpected == []


@pytest.fixture
def strict(faults: Faults) -> Faults:
    """The same by the name that says it: nothing may go wrong."""
    return faults


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(
    browser: Browser, console: Console, doors: Doors, faults: Faults
) -> Iterator[OpenPage]:
    """Make a page; further options are those of Playwright's `new_context`."""
    contexts: list[BrowserContext] = []

    def make(
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        role: str = EVERY_ROLE,
        **options: Any,
    ) -> Page:
        context = browser.new_context(
            base_url=console.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            storage_state=doors.state(role),
            **options,
        )
        contexts.append(context)
        context.set_default_timeout(WAIT_MS)
        faults.watch(context)
        return context.new_page()

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return open_page()


@pytest.fixture
def phone(open_page: OpenPage) -> Page:
    return open_page(width=375, height=800)


@pytest.fixture
def dark(open_page: OpenPage) -> Page:
    return open_page(dark=True)


@pytest.fixture
def axe() -> Callable[..., list[str]]:
    """Say what axe-core finds serious; the page must be of `open_page(bypass_csp=True)`.

    Rules narrow what is looked at: `axe(page, "color-contrast")`.
    """

    def examine(page: Page, *rules: str) -> list[str]:
        options = {"runOnly": list(rules)} if rules else {}
        found = Axe().run(page, options=options).response["violations"]
        return [
            f"{fault['id']}: {fault['help']}: {[node['html'][:200] for node in fault['nodes'][:3]]}"
            for fault in found
            if fault["impact"] in SERIOUS
        ]

    return examine
