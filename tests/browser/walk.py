"""Every page there is, by the routes of the site, with an address of each to look at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from console.pages.site import site
from tests.browser.scene import ADMIN, JANE, OFFICE, RECORD, S_ADMIN, moment

# What is no page: forms of data, files, what goes on without an end, what is there once.
_NO_PAGE: Final = (
    *(".json", ".csv", "/tail", "/stream", "/file", "/manifest", "/static/{name}"),
    *("/login/{once}", "/login/oidc", "/login/oidc/callback"),
    *("/now", "/facets", "/histogram", "/complete"),  # parts that pages load
)
# What a page needs besides its path; without it some only ask for it.
ASKED: Final[Mapping[str, Sequence[Mapping[str, str]]]] = {
    "/search": [{}, {"q": f"user:{JANE}"}, {"q": "user:("}, {"q": "user:nobody-at-all"}],
    "/resources": [{}, {"resource": "voice_recordings", "resource_id": "retention"}],
    "/access": [{}, {"resource": "voice_call_records", "resource_id": RECORD}],
    "/timeline": [{}, {"at": moment(75), "user": ADMIN}],
}
_LIKELY: Final[Mapping[str, str]] = {
    "user": JANE,
    "ip": OFFICE,
    "session_id": S_ADMIN,
    "event_id": "scene-003",
}


def templates() -> list[str]:
    """Return the path templates of all pages."""
    found = {path for path in _paths(site.routes) if not path.endswith(_NO_PAGE)}
    return sorted(found)


def _paths(routes: Sequence[Any]) -> Iterator[str]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _paths(inner.routes)
        elif "GET" in route.methods:
            yield route.path.replace(":path", "")


def addresses(ids: Mapping[str, str], *only: str) -> list[str]:
    """Return addresses of all pages; `ids` has what stands for each "{name}" of a path."""
    found = []
    for template in only or templates():
        path = template
        for name, value in {**_LIKELY, **ids}.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        assert "{" not in path, f"tell tests/browser/walk.py what stands for {template}"
        asked = ASKED.get(template, [{}])
        found += [f"{path}?{urlencode(query)}" if query else path for query in asked]
    return found
