"""Where one event comes from: its place, its versions, and the batch that stored it."""

from typing import Any

from console.search import lookups
from console.search.rendering import Row, render_provenance
from console.web.context import Api


async def provenance(api: Api, row: Row) -> dict[str, Any]:
    """Return a `Provenance`; a batch counts the events of all tenants, so one alone has none."""
    if api.tenant is not None:
        return render_provenance(row, None)
    place = (row["incarnation"], row["topic"], row["partition"], row["offset"])
    batches = await api.reader.rows(lookups.batch_of(*place))
    return render_provenance(row, batches[0] if batches else None)
