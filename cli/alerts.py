"""The command `alerts`: list them, show one, or follow them as they come."""

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from cli.client import Client
from cli.context import api_options, ends_well, json_option, limit_option, open_client
from cli.read import show_alert
from cli.showing import at_of, short
from cli.terminal import (
    SEVERITY_STYLES,
    Column,
    cell,
    err,
    json_text,
    out,
    print_json,
    print_table,
)
from schemas.errors import Misconfigured

FOLLOW_PERIOD_S: Final = 0.5
PAST: Final = "past"  # its event was old when it came: shown, never delivered
ALERT_TABLE: Final = {
    "occurred": Column("TIME (UTC)"),
    "past": Column("WHEN"),
    "severity": Column("SEVERITY", styles=SEVERITY_STYLES),
    "title": Column("TITLE", least=14),
    "user": Column("USER", least=12),
    "ip_address": Column("IP", drop=3),
    "resource": Column("RESOURCE", least=12, drop=2),
    "at": Column("AT"),
    "alert_id": Column("ID", drop=1),
}
_PLACED: Final = re.compile(r".+-audit\.events-(\d+)-(\d+)")


@click.command()
@api_options
@json_option
@click.option("--follow", is_flag=True, help="Go on printing new ones until Ctrl-C.")
@click.option("--severity", type=click.Choice(["info", "low", "medium", "high", "critical"]))
@click.option("--rule", help="Only of this rule.")
@click.option("--since", help="From then on: RFC 3339, or 15m, 24h, 7d ago.")
@click.option("--until", help="Before then.")
@limit_option(50)
@click.argument("alert_id", metavar="[ID]", required=False)
@ends_well
def alerts(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    follow: bool,
    limit: int,
    alert_id: str | None,
    **filters: str | None,
) -> None:
    """List alerts, newest first; with --follow print each as it comes, a line each.

    With the ID of an alert: show that one whole. WHEN says `past` of an alert whose event was old
    when it came; AT is its first event, as `audit show` takes it.
    """
    if alert_id and (follow or any(filters.values())):
        raise Misconfigured("with the id of an alert leave the other options out")
    client = open_client(data, api, token_file)
    if alert_id:
        show_alert(client, alert_id, as_json=as_json)
        return
    if follow:
        _follow(client, filters, as_json=as_json)
    found = list(client.pages("/alerts", "alerts", filters, limit))
    if as_json:
        print_json(found)
        return
    print_table([_row(alert) for alert in found], ALERT_TABLE)
    if not found:
        err.print("No alerts.")


def _row(alert: Mapping[str, Any]) -> dict[str, Any]:
    placed = _PLACED.fullmatch(alert["group"])
    first = next(iter(alert["event_ids"]), "")
    return {
        **alert,
        "occurred": short(alert["occurred"]),
        "past": PAST if alert["historical"] else "",
        "at": at_of(placed[1], placed[2]) if placed else first,
    }


def _follow(client: Client, filters: Mapping[str, str | None], *, as_json: bool) -> NoReturn:
    after = client.get("/alerts", {**filters, "limit": 1}).get("after")
    err.print("following; Ctrl-C stops", style="dim")
    try:
        while True:
            page = client.get("/alerts", {**filters, "after": after})
            for alert in page["alerts"]:
                if as_json:
                    sys.stdout.write(json_text(alert) + "\n")
                else:
                    _print_line(alert)
            sys.stdout.flush()
            after = page.get("after") or after
            if not page["alerts"]:
                time.sleep(FOLLOW_PERIOD_S)
    except KeyboardInterrupt:
        sys.exit(0)


def _print_line(alert: Mapping[str, Any]) -> None:
    row = _row(alert)
    severity = alert["severity"]
    when = f"{row['occurred']} ({PAST})" if row["past"] else row["occurred"]
    out.print(when, end="  ", markup=False, soft_wrap=True)
    style = SEVERITY_STYLES.get(severity)
    out.print(severity.upper(), end="  ", style=style, markup=False, soft_wrap=True)
    rest = (alert["title"], alert["summary"], alert["alert_id"])
    out.print("  ".join(map(cell, rest)), markup=False, soft_wrap=True)
