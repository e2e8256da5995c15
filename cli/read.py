"""The commands that read events: search, and show, which also shows an alert."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click
from rich.cells import cell_len

from cli.client import Client, Refused
from cli.context import api_options, ends_well, json_option, limit_option, open_client
from cli.showing import (
    INDENT,
    at_of,
    print_alert,
    print_event,
    print_raw,
    print_section,
    quoted,
    short,
)
from cli.terminal import (
    Column,
    csv_lines,
    err,
    json_text,
    out,
    print_json,
    print_table,
    visible,
)
from schemas.errors import Misconfigured

SHOWN_BESIDE: Final = 60  # characters of a query before and after what is wrong with it
ALERT_ID: Final = re.compile(r"[0-9a-f]{32}")
EVENT_TABLE: Final = {
    "timestamp": Column("TIME (UTC)"),
    "user": Column("USER", least=18),
    "action": Column("ACTION", least=20),
    "result": Column("RESULT"),
    "resource": Column("RESOURCE", least=12, drop=3),
    "ip_address": Column("IP", drop=1),
    "risk_score": Column("RISK", drop=2),
    "at": Column("AT"),  # PARTITION:OFFSET, short and exact: what `audit show` takes
}
EVENT_CSV: Final = (
    "timestamp",
    "tenant",
    "user",
    "role",
    "action",
    "category",
    "result",
    "resource",
    "resource_id",
    "ip_address",
    "session_id",
    "request_id",
    "source",
    "on_behalf_of",
    "reason",
    "user_agent",
    "severity",
    "risk_score",
    "flags",
    "rules",
    "details",
    "changes",
    "event_id",
    "recorded",
    "topic",
    "partition",
    "offset",
)
# As in schemas.actions, which takes longer to import than all else here.
CATEGORIES: Final = (
    "authentication",
    "data_access",
    "configuration",
    "permission",
    "api",
    "export",
    "integration",
    "security",
    "other",
)
NOT_FOUND: Final = (
    "no event or alert has that id. Take AT or the id from `audit search` or `audit alerts`"
)
NOT_STORED: Final = (
    "no event or stored alert has that id. If it stands among the events of an alert, it is that "
    "of a rule that only feeds others, whose alerts are not stored: search for the user and time "
    "of the alert that names it"
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("query", nargs=-1, type=click.UNPROCESSED)
@api_options
@click.option("--user", help="Who; * stands for any text.")
@click.option("--action", help="What, such as authentication.login.* .")
@click.option("--resource", help="What was affected; * stands for any text.")
@click.option("--resource-id", help="Which one of the resource.")
@click.option("--ip", help="From where: an address or a network, such as 203.0.113.0/24.")
@click.option("--result", type=click.Choice(["success", "failure", "denied", "error", "unknown"]))
@click.option("--session", help="The authentication session.")
@click.option("--category", type=click.Choice(CATEGORIES), help="What kind of action.")
@click.option("--tenant", help="Only this tenant.")
@click.option("--text", help="Text anywhere in the details, upper and lower case alike.")
@click.option("--since", help="From then on: RFC 3339, or 15m, 24h, 7d ago.")
@click.option("--until", help="Before then.")
@limit_option(50)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@ends_well
def search(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    limit: int,
    form: str,
    as_json: bool,
    query: tuple[str, ...],
    **filters: str | None,
) -> None:
    """Find events, newest first. Without anything: the latest.

    QUERY is of the search language, in single quotes: 'user:jane* -result:success risk>50
    since:7d "free text"'. docs/search.md is the one page on it. Options narrow it further.
    """
    asked = query_of(query)
    if as_json and form not in ("table", "json"):
        raise Misconfigured(f"--json and --format {form} exclude each other: leave one out")
    client = open_client(data, api, token_file)
    filters["q"] = asked
    events = client.pages("/events", "events", filters, limit)
    try:
        _print_events(events, "json" if as_json else form, _widen(filters))
    except Refused as error:
        if error.place is None or asked is None:
            raise
        told = f"{error}\n{pointed(asked, *error.place)}"
        raise Refused(told, error.status) from error


def query_of(words: Sequence[str]) -> str | None:
    """Join the words of a query. One that begins with `--` is an option that there isn't."""
    for word in words:
        if word.startswith("--"):
            given = click.get_current_context().command.params
            names = [name for option in given for name in option.opts if name.startswith("--")]
            name = word.partition("=")[0]
            raise click.NoSuchOption(name, possibilities=get_close_matches(name, names, n=1))
    return " ".join(words).strip() or None


def pointed(query: str, position: int, length: int) -> str:
    """Return the query with a line under it that points at what is wrong."""
    first = max(0, position - SHOWN_BESIDE)
    before, after = query[first:position], query[position : position + length + SHOWN_BESIDE]
    blank = " " * cell_len(visible(before))
    marks = "^" * max(1, cell_len(visible(query[position : position + length])))
    return f"{INDENT}{visible(before)}{visible(after)}\n{INDENT}{blank}{marks}"


def _widen(filters: Mapping[str, str | None]) -> str:
    """Say what to do when nothing was found; only what was given can be left out."""
    given = [name for name, value in filters.items() if value is not None]
    if not given:
        return "There is no event yet: publish one, see `audit publish --help`."
    words = ["put --since further back"] if "since" in given else []
    words += ["leave an option out"] if set(given) - {"since", "q"} else []
    words += ["ask for less in the query"] if "q" in given else []
    return f"No event matches: {', or '.join(words)}."


def _print_events(events: Iterator[dict[str, Any]], form: str, nothing: str) -> None:
    if form == "jsonl":
        for event in events:
            sys.stdout.write(json_text(event) + "\n")
    elif form == "csv":
        sys.stdout.writelines(csv_lines(events, EVENT_CSV))
    elif form == "json":
        print_json(list(events))
    else:
        rows = [_row(event) for event in events]
        print_table(rows, EVENT_TABLE)
        if not rows:
            err.print(nothing, soft_wrap=True)


def _row(event: dict[str, Any]) -> dict[str, Any]:
    at = at_of(event["partition"], event["offset"])
    return event | {"timestamp": short(event["timestamp"]), "at": at}


@click.command()
@api_options
@json_option
@click.argument("event_id", metavar="ID")
@ends_well
def show(
    *, data: Path, api: str | None, token_file: Path | None, as_json: bool, event_id: str
) -> None:
    """Show one event whole: the event, its raw bytes, where it lies, what was derived.

    ID is an event's id, or PARTITION:OFFSET on audit.events; or an alert's id.
    """
    client = open_client(data, api, token_file)
    try:
        shown = client.get(f"/events/{quoted(event_id)}")
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        if not ALERT_ID.fullmatch(event_id):
            raise Refused(NOT_FOUND, error.status) from error
        show_alert(client, event_id, as_json=as_json)
        return
    if as_json:
        print_json(shown)
        return
    print_event(shown["event"])
    print_section("Provenance", shown["provenance"])
    print_raw(shown)
    others = shown.get("others") or ()
    if others:
        out.print(f"\n{len(others)} more with this id", style="bold")
        print_table([_row(event) for event in others], EVENT_TABLE)


def show_alert(client: Client, alert_id: str, *, as_json: bool) -> None:
    """Show one alert whole: what to do, which events, who was told."""
    try:
        shown = client.get(f"/alerts/{quoted(alert_id)}")
    except Refused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        is_id = ALERT_ID.fullmatch(alert_id)
        raise Refused(NOT_STORED if is_id else NOT_FOUND, error.status) from error
    if as_json:
        print_json(shown)
    else:
        print_alert(shown)
