"""The same change of many alerts, as the REST API takes and answers it."""

from typing import Annotated

from pydantic import Field

from schemas.views import AlertChangeAsked, AlertChanged, View

AlertIds = Annotated[
    tuple[Annotated[str, Field(min_length=6, max_length=64)], ...],
    Field(min_length=1, max_length=200, description="At most 200: each change is told of alone."),
]


class AlertChangesAsked(AlertChangeAsked):
    """The same change of many alerts; each is made, or refused, alone."""

    ids: AlertIds


class AlertUnchanged(View):
    """An alert that a change of many did not reach, and what to do about it."""

    alert_id: str
    detail: str
    cure: str


class AlertsChanged(View):
    """What became of a change of many; one that was so already has no changes."""

    changed: tuple[AlertChanged, ...]
    failed: tuple[AlertUnchanged, ...]
