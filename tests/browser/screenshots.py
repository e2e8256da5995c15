"""`make screenshots`: the pictures of the README and docs/console.md, from a stack of its own.

Sample traffic is played until its attacks have raised alerts; each picture is a page of the
console as an analyst sees it, 1440 px wide, at most 200 kB.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import Browser, StorageState

from tests.browser.chromium import ABSENT, browsing, is_there
from tests.stack import running, wait

BYTES_MAX: Final = 200_000
ALERTS: Final = 6  # so many make a queue
WAIT_S: Final = 240.0
PAGE_MS: Final = 60_000
CANARIES: Final = {"AUDIT_CANARY_PERIOD_S": "3600"}  # as in a stack that no test counts in
PICTURES: Final = Path("docs/pictures")


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: its file's name, the page, and how it is looked at."""

    name: str
    path: str
    height: int = 900
    width: int = 1440
    dark: bool = False


def shots(known: Mapping[str, str]) -> list[Shot]:
    """Return what is shown; `known` has ids of an alert, its user and an event."""
    user, event = known["user"], known["event_id"]
    return [
        Shot("search", "/search"),
        Shot("alert", f"/alerts/{known['alert_id']}"),
        Shot("health", "/health"),
        Shot("alerts", "/alerts", height=760),
        Shot("event", f"/events/{event}"),
        Shot("user", f"/users/{user}"),
        Shot("history", "/resources?resource=voice_recordings"),
        Shot("timeline", f"/timeline?at={known['at']}&user={user}"),
        Shot("reports", "/reports", height=760),
        Shot("phone", "/alerts", width=375, height=760, dark=True),
    ]


def main() -> int:
    """Take all pictures; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=PICTURES)
    out: Path = options.parse_args().out
    if not is_there():
        sys.stderr.write(f"{ABSENT}\n")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "data", "--sample", env=CANARIES) as stack,
    ):
        port = json.loads((stack.data / "ports.json").read_text())["api"]
        token = (stack.data / "token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as api:
            wait("alerts", lambda: len(_alerts(api)) >= ALERTS, WAIT_S, tell=stack.tail)
            known = _known(api, _alerts(api))
            link = api.post("/v1/people/login-links", json={}).json()["link"]
            with browsing() as browser:
                state = _log_in(browser, link)
                for shot in shots(known):
                    size = _take(browser, str(api.base_url), state, shot, out)
                    sys.stdout.write(f"{out / shot.name}.png: {size:,} bytes\n")
    return 0


def _alerts(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1/alerts?limit=50").json()["alerts"]
    return found


def _known(api: httpx.Client, alerts: list[dict[str, Any]]) -> Mapping[str, str]:
    """Choose the alert to show: the worst of somebody, of the most events, and one of these."""
    order = ("critical", "high", "medium", "low", "info")
    named = [one for one in alerts if one["user"] and one["event_ids"]]
    best = min(named, key=lambda one: (order.index(one["severity"]), -one["event_count"]))
    # an alert of correlations among each other also names what these found
    found = (one for one in best["event_ids"] if api.get(f"/v1/events/{one}").is_success)
    return {**best, "event_id": next(found), "at": best["occurred"]}


def _log_in(browser: Browser, link: str) -> StorageState:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(link)
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login" not in url)
        return context.storage_state()


def _take(browser: Browser, url: str, state: StorageState, shot: Shot, out: Path) -> int:
    context = browser.new_context(
        base_url=url,
        viewport={"width": shot.width, "height": shot.height},
        color_scheme="dark" if shot.dark else "light",
        storage_state=state,
    )
    page = context.new_page()
    page.set_default_timeout(PAGE_MS)
    answer = page.goto(shot.path)
    assert answer is not None
    assert answer.ok, f"{shot.path}: {answer.status}"
    page.wait_for_timeout(2_500)  # for what the page loads afterwards
    file = out / f"{shot.name}.png"
    height = shot.height
    page.screenshot(path=file)
    while file.stat().st_size > BYTES_MAX:  # a shorter view of the same page
        height = height * 9 // 10
        page.set_viewport_size({"width": shot.width, "height": height})
        page.screenshot(path=file)
    context.close()
    return file.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
