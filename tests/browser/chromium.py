"""Chromium as tests and screenshots drive it: Debian's, headless, and never asking the internet."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

CHROMIUM: Final = os.environ.get("AUDIT_TEST_CHROMIUM") or "/usr/bin/chromium"
ABSENT: Final = (
    f"there is no Chromium at {CHROMIUM}: apt-get install chromium,"
    " or name one with AUDIT_TEST_CHROMIUM"
)
_ARGUMENTS: Final = [
    "--no-sandbox",  # tests run as root in containers, where it can't be had
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def is_there() -> bool:
    """Say whether there is a Chromium to drive."""
    return Path(CHROMIUM).exists()


@contextmanager
def browsing() -> Iterator[Browser]:
    """Give a browser, and end it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
