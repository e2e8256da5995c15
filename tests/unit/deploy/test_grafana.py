"""The dashboard of Grafana shows what the code exports, and what the health page shows."""

import json
import re
from typing import Any, Final

import pytest

from tests.unit.deploy.files import DEPLOY
from tests.unit.deploy.test_prometheus import exported

BOARD: Final[dict[str, Any]] = json.loads((DEPLOY / "grafana" / "health.json").read_text())
PANELS: Final[list[dict[str, Any]]] = BOARD["panels"]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_asks_for_metrics_that_the_code_exports(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        named = set(re.findall(r"\baudit_\w+", target["expr"]))
        assert named
        assert named <= exported()


def test_panels_have_ids_and_places_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    cells = [
        (x, y)
        for panel in PANELS
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize(
    "metric",
    [
        "audit_ledger_difference_records",
        "audit_ledger_lag_records",
        "audit_sink_rows_total",
        "audit_ledger_quarantined_records",
        "audit_canary_rules",
        "audit_alerts_attempts_total",
        "audit_outbox_events",
        "audit_process_unmet_conditions",
    ],
)
def test_dashboard_shows_what_the_health_page_shows(metric: str) -> None:
    assert any(metric in target["expr"] for panel in PANELS for target in panel["targets"])
