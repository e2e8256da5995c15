"""The line at the top of each page: at no width is a name or a page of it cut that fits."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.integration.api.people import house

STATIC: Final = Path("console/pages/static")
MEASURE: Final = """() => {
    const nav = document.querySelector(".top nav"), name = document.querySelector(".me > a");
    return {
        pages: nav.scrollWidth - nav.clientWidth,
        name: name.scrollWidth - name.clientWidth,
        sideways: document.documentElement.scrollWidth - innerWidth,
    };
}"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of the owner, who has all roles and so all pages."""

    async def fetch() -> str:
        home = await house(tmp_path_factory.mktemp("house"))
        owner = await home.owner()
        text = (await owner.get("/people")).text
        await home.close()
        return text

    with ThreadPoolExecutor(1) as thread:  # playwright has a loop of its own in this one
        return thread.submit(lambda: asyncio.run(fetch())).result()


@pytest.mark.parametrize("width", [640, 700, 900, 1181, 1200, 1280, 1281, 1366, 1920])
def test_neither_the_name_nor_the_pages_of_the_top_line_are_cut(
    browser: Browser, shown: str, width: int
) -> None:
    with browser.new_context(viewport={"width": width, "height": 300}) as context:
        page = context.new_page()
        page.route("**/*", lambda route: route.abort())  # nothing is there to fetch
        page.set_content(shown)
        page.add_style_tag(content=(STATIC / "console.css").read_text(encoding="utf-8"))
        assert page.locator(".me > a").inner_text() == "owner"
        assert page.evaluate(MEASURE) == {"pages": 0, "name": 0, "sideways": 0}
