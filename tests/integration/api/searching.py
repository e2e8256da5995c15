"""What the pages of search and of events show in their tests, and how these ask for them."""

from typing import Any

import httpx
import orjson

from runtime.clickhouse import Store
from tests.integration.api.stored import INCARNATION, event, line, put

HOSTILE = "<script>alert(1)</script>\"'\u202egnp.exe\x1b[31m{{7*7}}"
SOURCE = "search-pages"
RETENTION = f"{INCARNATION[:8]}-0-2"
MINE = {"source": SOURCE, "tenant": "pages"}


def put_pages(store: Store) -> None:
    """Store what the pages show, of a tenant of their own."""
    large = {f"key_{n}": "v" * 50 for n in range(4_000)}
    fields = ("user", "resource", "resource_id", "session_id", "reason", "role", "user_agent")
    hostile: dict[str, Any] = dict.fromkeys(fields, HOSTILE)
    hostile |= {"details": {HOSTILE: HOSTILE, "list": [{HOSTILE: HOSTILE}]}}
    lines = [
        event(900 + n, **MINE, user=f"walker{n % 3}", timestamp=f"2025-10-08T00:{n:02}:00Z")
        for n in range(60)
    ]
    lines += [
        event(970, **MINE, **{**hostile, "user": HOSTILE}, event_id=HOSTILE[:60]),
        event(971, **MINE, user="big", details=large, event_id="big-one"),
        event(972, **MINE, user="word", resource="w" * 1_000, details={"w": "w" * 10_000}),
        _read(973, event_id="a-read", flags=["read"]),
        event(974, **{**MINE, "tenant": "elsewhere"}, user="stranger", event_id="not-yours"),
        event(975, **MINE, user="json", event_id="ends.json"),
    ]
    said = {**MINE, "timestamp": "2025-10-08T05:00:00Z", "user": "editor"}
    said |= {"action": "settings.greeting.updated", "resource": "greetings"}
    changed = {
        "changed": ["text", "hours"],
        "before": ['"Hello and welcome to us"', '["mon","tue"]'],
        "after": ['"Hello and goodbye to us"', '["mon","wed"]'],
    }
    lines.append(line(orjson.dumps(said), 976, **changed))
    put(store, lines, "pages")


def _read(offset: int, *, event_id: str, flags: list[str]) -> bytes:
    said = {"timestamp": "2025-10-10T00:00:00Z", **MINE, "user": "reader", "event_id": event_id}
    return line(orjson.dumps(said | {"action": "audit.events.searched"}), offset, flags=flags)


def remove_pages(store: Store) -> None:
    store.command("DELETE FROM events WHERE source = 'search-pages'")


async def page(client: httpx.AsyncClient, path: str, *, status: int = 200, **asked: Any) -> str:
    answer = await client.get(path, params=asked or None, headers={"accept": "text/html"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


async def data(client: httpx.AsyncClient, path: str, **asked: Any) -> Any:
    answer = await client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rows(html: str) -> int:
    return html.count("<tr data-row")
