"""The commands that work on alerts: take, assign, close, note, reopen; counts, and targets."""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from cli.context import api_options, ends_well, json_option, open_client
from cli.showing import quoted, short
from cli.terminal import SEVERITY_STYLES, Column, err, out, print_json, print_table

Asked = Mapping[str, str | None]

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


by_option: Final = click.option(
    "--by", help="Who does it, for the service's token; your login name by default."
)
note_option: Final = click.option("--note", help="Why, or what was found; kept in the history.")


def changing(asked: Callable[..., Asked]) -> click.Command:
    """Make the command that changes the alert ID by what the function makes of its own options.

    Its name and help are the function's.
    """

    @wraps(asked)
    def run(  # its options are those of all commands, then its own
        *,
        data: Path,
        api: str | None,
        token_file: Path | None,
        as_json: bool,
        by: str | None,
        alert_id: str,
        **given: str | bool | None,
    ) -> None:
        client = open_client(data, api, token_file)
        body = {**asked(**given), "by": by}
        body = {name: value for name, value in body.items() if value is not None}
        answer = client.post(f"/alerts/{quoted(alert_id)}/changes", body)
        print_json(answer) if as_json else _print_changes(answer)
        _warn(answer)

    shared = (click.argument("alert_id", metavar="ID"), by_option, json_option, api_options)
    command = ends_well(run)
    for option in shared:
        command = option(command)
    return click.command()(command)


def _print_changes(answer: Mapping[str, Any]) -> None:
    for change in answer["changes"]:
        was = f" (was {change['before']})" if change["before"] else ""
        said = f"{change['kind']}: {change['value']}{was}"
        out.print(said, markup=False, soft_wrap=True)


def _warn(answer: Mapping[str, Any]) -> None:
    if not answer["changes"]:
        err.print("Nothing changed: it is so already.")


@changing
@note_option
def ack(note: str | None) -> Asked:
    """Acknowledge an alert: you look at it, nobody else is called. Its repeats join it."""
    return {"status": "acknowledged", "note": note}


@changing
@click.argument("assignee", metavar="WHO")
@note_option
def assign(assignee: str, note: str | None) -> Asked:
    """Give an alert to somebody; to '' for nobody."""
    return {"assignee": assignee, "note": note}


@changing
@note_option
@click.option("--false-positive", is_flag=True, help="The rule was wrong: count it as noise.")
def resolve(note: str | None, *, false_positive: bool) -> Asked:
    """Close an alert; the next one of its kind opens a new group and pages."""
    return {"status": "false_positive" if false_positive else "resolved", "note": note}


@changing
@note_option
def reopen(note: str | None) -> Asked:
    """Open an alert again."""
    return {"status": "open", "note": note}


@changing
@click.argument("text")
def note(text: str) -> Asked:
    """Add a note to an alert's history."""
    return {"note": text}


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
