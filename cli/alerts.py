"""The commands `alerts`: list them, show one, or follow them as they come."""

import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from cli.alert_work import ack, assign, note, reopen, resolve, stats, targets
from cli.client import Client
from cli.context import api_options, ends_well, json_option, limit_option, open_client
from cli.read import ALERT_ID, show_alert
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
from schemas.alert import SEVERITIES, STATUSES
from schemas.errors import Misconfigured

P = ParamSpec("P")
R = TypeVar("R")

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
GROUP_TABLE: Final = {
    "occurred": Column("SINCE (UTC)", drop=2),
    "last": Column("LAST (UTC)"),
    "severity": Column("SEVERITY", styles=SEVERITY_STYLES),
    "alerts": Column("ALERTS"),
    "status": Column("STATUS"),
    "assignee": Column("ASSIGNEE", drop=1),
    "title": Column("TITLE", least=14),
    "user": Column("USER", least=12),
    "alert_id": Column("ID"),
}
ACTIVE: Final = "active"  # open or acknowledged
_PLACED: Final = re.compile(r".+-audit\.events-(\d+)-(\d+)")


class AlertGroup(click.Group):
    """Alone it lists; with the id of an alert it shows that one, as `show` does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read an id without a command before it as `show ID`."""
        if any(map(ALERT_ID.fullmatch, args)) and not any(arg in self.commands for arg in args):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def filter_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add what narrows a list of alerts."""
    for option in (
        click.option("--until", help="Before then."),
        click.option("--since", help="From then on: RFC 3339, or 15m, 24h, 7d ago."),
        click.option("--suppressed", is_flag=True, help="Those that an exception hides."),
        click.option("--canaries", "canary", is_flag=True, help="Those of the canaries."),
        click.option("--assignee", help="Only of this person; '' for nobody's."),
        click.option("--status", type=click.Choice(STATUSES)),
        click.option("--tag", help="Only with this tag."),
        click.option("--user", help="Only of what this user did."),
        click.option("--rule", help="Only of this rule."),
        click.option("--severity", type=click.Choice(SEVERITIES)),
    ):
        command = option(command)
    return command


@click.group(cls=AlertGroup, invoke_without_command=True)
@api_options
@json_option
@click.option("--follow", is_flag=True, help="Go on printing new ones until Ctrl-C.")
@filter_options
@limit_option(50)
@click.pass_context
@ends_well
def alerts(
    ctx: click.Context,
    /,
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    follow: bool,
    limit: int,
    **filters: str | bool | None,
) -> None:
    """List every alert, newest first; with --follow print each as it comes, a line each.

    With the ID of an alert: show that one whole. WHEN says `past` of an alert whose event was old
    when it came; AT is its first event, as `audit show` takes it. `audit alerts list` shows what
    is to be worked on: repeats joined, with their number.
    """
    if ctx.invoked_subcommand is not None:
        given = ctx.get_parameter_source
        if any(given(name) is ParameterSource.COMMANDLINE for name in ctx.params):
            raise Misconfigured(f"write the options after `audit alerts {ctx.invoked_subcommand}`")
        return
    client = open_client(data, api, token_file)
    asked = _asked(filters)
    if follow:
        _follow(client, asked, as_json=as_json)
    found = list(client.pages("/alerts", "alerts", asked, limit))
    if as_json:
        print_json(found)
        return
    print_table([_row(alert) for alert in found], ALERT_TABLE)
    if not found:
        err.print("No alerts.")


@alerts.command("list")
@api_options
@json_option
@click.option("--all", "is_all", is_flag=True, help="Closed ones too.")
@filter_options
@limit_option(50)
@ends_well
def list_groups(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    is_all: bool,
    limit: int,
    **filters: str | bool | None,
) -> None:
    """List what is to be worked on: the first alert of each group, open or acknowledged."""
    client = open_client(data, api, token_file)
    asked = {**_asked(filters), "grouped": True}
    if not is_all and not filters["status"]:
        asked["status"] = ACTIVE
    found = list(client.pages("/alerts", "alerts", asked, limit))
    if as_json:
        print_json(found)
        return
    print_table([_row(alert) for alert in found], GROUP_TABLE)
    if not found:
        err.print("Nothing to do.")


@alerts.command("show")
@api_options
@json_option
@click.argument("alert_id", metavar="ID")
@ends_well
def show_one(
    *, data: Path, api: str | None, token_file: Path | None, as_json: bool, alert_id: str
) -> None:
    """Show one alert whole: why, what to do, who was told, what was done."""
    show_alert(open_client(data, api, token_file), alert_id, as_json=as_json)


for _command in (ack, assign, resolve, reopen, note, stats, targets):
    alerts.add_command(_command)


def _asked(filters: Mapping[str, str | bool | None]) -> dict[str, str | bool | None]:
    """Return what is asked of the API: a flag that is not given is left out."""
    return {name: value for name, value in filters.items() if value is not False}


def _row(alert: Mapping[str, Any]) -> dict[str, Any]:
    placed = _PLACED.fullmatch(alert["group"])
    # what a correlation of correlations names are alerts, of which some are not stored
    events = [one for one in alert["event_ids"] if not ALERT_ID.fullmatch(one)]
    first = next(iter(events or alert["event_ids"]), "")
    return {
        **alert,
        "occurred": short(alert["occurred"]),
        "last": short(alert["last"]),
        "past": PAST if alert["historical"] else "",
        "at": at_of(placed[1], placed[2]) if placed else first,
    }


def _follow(client: Client, filters: Mapping[str, str | bool | None], *, as_json: bool) -> NoReturn:
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
