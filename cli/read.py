"""The commands that read: search, show, alerts, quarantine, ledger, doctor."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote

import click

from cli.client import Client
from cli.context import EXIT_DIFFERENCE, EXIT_UNAVAILABLE, api_options, ends_well, open_client
from cli.terminal import cell, csv_lines, err, json_text, out, print_json, print_table, visible

P = ParamSpec("P")
R = TypeVar("R")

FOLLOW_PERIOD_S: Final = 0.5
ROWS_MAX: Final = 1_000_000
REPLAY_PAGE_ROWS: Final = 500  # one answer within the client's patience

EVENT_TABLE: Final = {
    "timestamp": "TIME (UTC)",
    "user": "USER",
    "action": "ACTION",
    "result": "RESULT",
    "resource": "RESOURCE",
    "ip_address": "IP",
    "risk_score": "RISK",
    "at": "AT",  # PARTITION:OFFSET, short and exact: what `audit show` takes
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
ALERT_TABLE: Final = {
    "recorded": "TIME (UTC)",
    "severity": "SEVERITY",
    "title": "TITLE",
    "user": "USER",
    "ip_address": "IP",
    "resource": "RESOURCE",
    "alert_id": "ID",
}
QUARANTINE_TABLE: Final = {
    "recorded": "TIME (UTC)",
    "reason": "REASON",
    "size": "BYTES",
    "partition": "PARTITION",
    "offset": "OFFSET",
    "hint": "CURE",
}
LEDGER_TABLE: Final = {
    "partition": "PARTITION",
    "received": "RECEIVED",
    "stored": "STORED",
    "quarantined": "QUARANTINED",
    "difference": "DIFFERENCE",
    "lag": "LAG",
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def limit_option(default: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add `--limit N`."""
    return click.option(
        "--limit", default=default, show_default=True, type=click.IntRange(1, ROWS_MAX)
    )


@click.command()
@api_options
@click.option("--user", help="Who; * stands for any text.")
@click.option("--action", help="What, such as authentication.login.* .")
@click.option("--resource", help="What was affected; * stands for any text.")
@click.option("--resource-id", help="Which one of the resource.")
@click.option("--ip", help="From where: an address or a network, such as 203.0.113.0/24.")
@click.option("--result", type=click.Choice(["success", "failure", "denied", "error", "unknown"]))
@click.option("--session", help="The authentication session.")
@click.option("--category", help="One of the eight kinds, such as export.")
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
    **filters: str | None,
) -> None:
    """Find events, newest first. Without options: the latest."""
    client = open_client(data, api, token_file)
    events = client.pages("/events", "events", filters, limit)
    _print_events(events, "json" if as_json else form)


def _print_events(events: Iterator[dict[str, Any]], form: str) -> None:
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
            err.print("No event matches. Widen --since, or leave an option out.")


def _row(event: dict[str, Any]) -> dict[str, Any]:
    at = f"{event['partition']}:{event['offset']}"
    return event | {"timestamp": event["timestamp"][:19].replace("T", " "), "at": at}


@click.command()
@api_options
@json_option
@click.argument("event_id", metavar="ID")
@ends_well
def show(
    *, data: Path, api: str | None, token_file: Path | None, as_json: bool, event_id: str
) -> None:
    """Show one event whole: the event, its raw bytes, where it lies, what was derived.

    ID is an event's id, or PARTITION:OFFSET on audit.events.
    """
    client = open_client(data, api, token_file)
    shown = client.get(f"/events/{_quoted(event_id)}")
    if as_json:
        print_json(shown)
        return
    _print_section("Event", shown["event"])
    _print_section("Provenance", shown["provenance"])
    _print_raw(shown)
    others = shown.get("others") or ()
    if others:
        out.print(f"\n{len(others)} more with this id", style="bold")
        print_table([_row(event) for event in others], EVENT_TABLE)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _print_raw(shown: Mapping[str, Any]) -> None:
    is_text = shown.get("raw") is not None
    out.print("\nRaw bytes" if is_text else "\nRaw bytes, as base64", style="bold")
    out.print(
        visible(shown["raw" if is_text else "raw_base64"] or ""), markup=False, soft_wrap=True
    )


def _print_section(title: str, fields: Mapping[str, Any]) -> None:
    out.print(f"\n{title}", style="bold")
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            out.print(f"  {name:<{width}}  {cell(value)}", markup=False, soft_wrap=True)


@click.command()
@api_options
@json_option
@click.option("--follow", is_flag=True, help="Go on printing new ones until Ctrl-C.")
@click.option("--severity", type=click.Choice(["info", "low", "medium", "high", "critical"]))
@click.option("--rule", help="Only of this rule.")
@click.option("--since", help="From then on: RFC 3339, or 15m, 24h, 7d ago.")
@click.option("--until", help="Before then.")
@limit_option(50)
@ends_well
def alerts(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    follow: bool,
    limit: int,
    **filters: str | None,
) -> None:
    """List alerts, newest first; with --follow print each as it comes, a line each."""
    client = open_client(data, api, token_file)
    if follow:
        _follow(client, filters, as_json=as_json)
    page = client.get("/alerts", {**filters, "limit": limit})
    if as_json:
        print_json(page["alerts"])
        return
    print_table(_short_times(page["alerts"]), ALERT_TABLE)
    if not page["alerts"]:
        err.print("No alerts.")


def _follow(client: Client, filters: Mapping[str, str | None], *, as_json: bool) -> NoReturn:
    after = client.get("/alerts", {**filters, "limit": 1}).get("after")
    try:
        while True:
            page = client.get("/alerts", {**filters, "after": after})
            for alert in page["alerts"]:
                line = json_text(alert) if as_json else _alert_line(alert)
                sys.stdout.write(line + "\n")
            sys.stdout.flush()
            after = page.get("after") or after
            if not page["alerts"]:
                time.sleep(FOLLOW_PERIOD_S)
    except KeyboardInterrupt:
        sys.exit(0)


def _alert_line(alert: Mapping[str, Any]) -> str:
    parts = (alert["recorded"], alert["severity"].upper(), alert["title"], alert["summary"])
    return "  ".join(cell(part) for part in (*parts, alert["alert_id"]))


def _short_times(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "recorded": str(row["recorded"])[:19].replace("T", " ")} for row in rows]


@click.group()
def quarantine() -> None:
    """Look at what could not become an event, and move it over once the cause is mended."""


@quarantine.command("list")
@api_options
@json_option
@click.option("--reason", help="Only with this reason, such as timestamp:format.")
@click.option("--since", help="From then on: RFC 3339, or 15m, 24h, 7d ago.")
@click.option("--until", help="Before then.")
@limit_option(50)
@ends_well
def quarantine_list(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    limit: int,
    **filters: str | None,
) -> None:
    """List quarantined messages, newest first."""
    client = open_client(data, api, token_file)
    rows = list(client.pages("/quarantine", "messages", filters, limit))
    if as_json:
        print_json(rows)
        return
    print_table(_short_times(rows), QUARANTINE_TABLE)
    if not rows:
        err.print("Nothing is quarantined.")


@quarantine.command("show")
@api_options
@json_option
@click.argument("coordinates", metavar="PARTITION:OFFSET")
@ends_well
def quarantine_show(
    *, data: Path, api: str | None, token_file: Path | None, as_json: bool, coordinates: str
) -> None:
    """Show one quarantined message with its bytes."""
    client = open_client(data, api, token_file)
    shown = client.get(f"/quarantine/{_quoted(coordinates)}")
    if as_json:
        print_json(shown)
        return
    _print_section("Quarantined message", shown["message"])
    _print_raw(shown)


@quarantine.command("replay")
@api_options
@json_option
@click.option("--reason", help="Only with this reason.")
@click.option("--partition", type=click.IntRange(0), help="Only of this partition.")
@click.option("--offset", type=click.IntRange(0), help="Only this offset of the partition.")
@limit_option(10_000)
@ends_well
def quarantine_replay(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    limit: int,
    **selection: str | int | None,
) -> None:
    """Judge quarantined messages again; those that pass now become events, once."""
    client = open_client(data, api, token_file)
    body = {key: value for key, value in selection.items() if value is not None}
    report = _replay(client, body, limit)
    if as_json:
        print_json(report)
        return
    out.print(f"replayed {report['replayed']:,}, still rejected {report['still_rejected']:,}")
    if report["is_cut"]:
        err.print(f"There may be more: that was the limit of {limit:,}. See --limit.")


def _replay(client: Client, body: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Replay page by page; what an earlier page moved is moved, whatever becomes of a later one."""
    done = {"replayed": 0, "still_rejected": 0}
    left, after = limit, None
    while left > 0:
        asked = {**body, "limit": min(left, REPLAY_PAGE_ROWS)} | ({"after": after} if after else {})
        report = client.post("/quarantine/replay", asked)
        for count in done:
            done[count] += report[count]
            left -= report[count]
        after = report["next"]
        if after is None:
            break
    return {**done, "is_cut": after is not None}


@click.command()
@api_options
@json_option
@ends_well
def ledger(*, data: Path, api: str | None, token_file: Path | None, as_json: bool) -> None:
    """Prove that received = stored + quarantined + lag; exit status 3 if it is not so."""
    client = open_client(data, api, token_file)
    found = client.get("/ledger")
    if as_json:
        print_json(found)
    else:
        rows = [*found["partitions"], found | {"partition": "all"}]
        print_table(rows, LEDGER_TABLE)
    if found["difference"]:
        err.print(
            "The ledger does not balance: see docs/operations.md, 'a difference'.", style="red"
        )
        sys.exit(EXIT_DIFFERENCE)


@click.command()
@api_options
@json_option
@ends_well
def doctor(*, data: Path, api: str | None, token_file: Path | None, as_json: bool) -> None:
    """Check each part: is it there, the right version, the right settings; exit 1 if not."""
    client = open_client(data, api, token_file)
    found = client.get("/doctor")
    if as_json:
        print_json(found)
    else:
        for check in found["checks"]:
            mark = "[green]ok  [/]" if check["ok"] else "[red]FAIL[/]"
            out.print(mark, f" {visible(check['name'])}: {visible(str(check['found']))}")
            if not check["ok"]:
                out.print(f"      want: {check.get('want')}", markup=False)
                out.print(f"      cure: {check.get('cure')}", markup=False)
    if not found["ok"]:
        sys.exit(EXIT_UNAVAILABLE)
