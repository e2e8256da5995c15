"""The health page: green only if all invariants hold now; it keeps itself fresh."""

from typing import Final

from fastapi import APIRouter

from console.health.whole import look
from console.pages.page import Page, Table, page
from console.web.context import Asked, saw, whole

routes: Final = APIRouter()
REFRESH_S: Final = 15  # each look asks Kafka and the store about ten small questions
_COLUMNS: Final = ("partition", "received", "stored", "quarantined", "difference", "lag")


@page(routes, "/health", "read_health")
async def show_health(api: Asked) -> Page:
    """Show whether nothing is lost, and how every part fares."""
    whole(api)
    found = await look(api)
    await saw(api, "/health", {}, len(found["promises"]))
    partitions = found["ledger"]["partitions"] if found["ledger"] else ()
    rows = [[one[name] for name in _COLUMNS] for one in partitions]
    return Page("health.html", "Health", found, Table(_COLUMNS, rows), {"refresh_s": REFRESH_S})
