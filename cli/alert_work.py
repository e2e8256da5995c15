"""The commands that work on alerts: take, assign, close, note, reopen; counts, and targets."""

import getpass
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import click

from cli.context import api_options, ends_well, json_option, open_client
from cli.showing import quoted, short
from cli.terminal import SEVERITY_STYLES, Column, err, out, print_json, print_table
from schemas.errors import Misconfigured

P = ParamSpec("P")
R = TypeVar("R")

RULE_TABLE: Final = {
    "title": Column("TITLE", least=20),
    "rule_id": Column("RULE", least=16, drop=3),
    "alerts": Column("ALERTS"),
    "groups": Column("GROUPS"),
    "suppressed": Column("SUPPRESSED", drop=2),
    "historical": Column("PAST", drop=1),
    "worst": Column("WORST", styles=SEVERITY_STYLES),
}
STATUS_TABLE: Final = {
    "status": Column("STATUS"),
    "groups": Column("GROUPS"),
    "taken": Column("MEDIAN TO TAKEN"),
    "closed": Column("MEDIAN TO CLOSED"),
}
TARGET_TABLE: Final = {
    "target": Column("TARGET", least=16),
    "state": Column("STATE", styles={"failing": "bold red", "ok": "green"}),
    "pending": Column("WAITING"),
    "delivered": Column("DELIVERED"),
    "failures": Column("FAILED TRIES"),
    "given_up": Column("GIVEN UP"),
    "last_delivered": Column("LAST DELIVERED", drop=2),
    "last_failed": Column("LAST FAILED", drop=1),
}


def by_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--by NAME`."""
    return click.option(
        "--by",
        help="Who does it; your login name by default.",
    )(command)


note_option = click.option("--note", help="Why, or what was found; kept in the history.")


def _change(
    client_of: tuple[Path, str | None, Path | None],
    alert_id: str,
    by: str | None,
    asked: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    client = open_client(*client_of)
    body = {name: value for name, value in asked.items() if value is not None}
    answer = client.post(f"/alerts/{quoted(alert_id)}/changes", {**body, "by": by or _login()})
    if as_json:
        print_json(answer)
    for change in answer["changes"]:
        if not as_json:
            was = f" (was {change['before']})" if change["before"] else ""
            said = f"{change['kind']}: {change['value']}{was}"
            out.print(said, markup=False, soft_wrap=True)
    if not answer["changes"]:
        err.print("Nothing changed: it is so already.")
    elif not answer["audited"]:
        err.print(
            "It is in the alert's history; no audit event was published, as this service was "
            "started without the means to.",
            style="yellow",
            soft_wrap=True,
        )


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise Misconfigured("this user has no name: say who you are with --by") from error


@click.command()
@api_options
@json_option
@by_option
@note_option
@click.argument("alert_id", metavar="ID")
@ends_well
def ack(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    by: str | None,
    note: str | None,
    alert_id: str,
) -> None:
    """Acknowledge an alert: you look at it, nobody else is called. Its repeats join it."""
    asked = {"status": "acknowledged", "note": note}
    _change((data, api, token_file), alert_id, by, asked, as_json=as_json)


@click.command()
@api_options
@json_option
@by_option
@note_option
@click.argument("alert_id", metavar="ID")
@click.argument("assignee", metavar="WHO")
@ends_well
def assign(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    by: str | None,
    note: str | None,
    alert_id: str,
    assignee: str,
) -> None:
    """Give an alert to somebody; to '' for nobody."""
    asked = {"assignee": assignee, "note": note}
    _change((data, api, token_file), alert_id, by, asked, as_json=as_json)


@click.command()
@api_options
@json_option
@by_option
@note_option
@click.option("--false-positive", is_flag=True, help="The rule was wrong: count it as noise.")
@click.argument("alert_id", metavar="ID")
@ends_well
def resolve(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    by: str | None,
    note: str | None,
    false_positive: bool,
    alert_id: str,
) -> None:
    """Close an alert; the next one of its kind opens a new group and pages."""
    asked = {"status": "false_positive" if false_positive else "resolved", "note": note}
    _change((data, api, token_file), alert_id, by, asked, as_json=as_json)


@click.command()
@api_options
@json_option
@by_option
@note_option
@click.argument("alert_id", metavar="ID")
@ends_well
def reopen(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    by: str | None,
    note: str | None,
    alert_id: str,
) -> None:
    """Open an alert again."""
    _change(
        (data, api, token_file), alert_id, by, {"status": "open", "note": note}, as_json=as_json
    )


@click.command()
@api_options
@json_option
@by_option
@click.argument("alert_id", metavar="ID")
@click.argument("text")
@ends_well
def note(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    by: str | None,
    alert_id: str,
    text: str,
) -> None:
    """Add a note to an alert's history."""
    _change((data, api, token_file), alert_id, by, {"note": text}, as_json=as_json)


@click.command()
@api_options
@json_option
@click.option("--since", default="7d", show_default=True, help="RFC 3339, or 15m, 24h, 7d ago.")
@click.option("--until", help="Before then.")
@ends_well
def stats(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    since: str,
    until: str | None,
) -> None:
    """Count alerts by rule and by status: which are noise, and how long people take."""
    found = open_client(data, api, token_file).get(
        "/alerts/stats", {"since": since, "until": until}
    )
    if as_json:
        print_json(found)
        return
    print_table(found["rules"], RULE_TABLE)
    if found["statuses"]:
        out.print()
        rows = [
            {**row, "taken": _span(row["taken_s"]), "closed": _span(row["closed_s"])}
            for row in found["statuses"]
        ]
        print_table(rows, STATUS_TABLE)
    if not found["rules"]:
        err.print("No alerts in that time.")


@click.command()
@api_options
@json_option
@ends_well
def targets(*, data: Path, api: str | None, token_file: Path | None, as_json: bool) -> None:
    """Show how each target fares: what it took, what failed, what waits for it."""
    found = open_client(data, api, token_file).get("/alerts/targets")["targets"]
    if as_json:
        print_json(found)
        return
    for row in found:
        for name in ("last_delivered", "last_failed"):
            row[name] = short(row[name]) if row[name] else ""
    print_table(found, TARGET_TABLE)
    if not found:
        err.print("No targets: alerts are stored and shown, and nobody is paged.")


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
