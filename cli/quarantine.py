"""The commands on what could not become an event: list, show, replay."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import click

from cli.client import Client
from cli.context import api_options, ends_well, json_option, limit_option, open_client
from cli.showing import at_of, print_raw, print_section, quoted, short
from cli.terminal import Column, err, out, print_json, print_table, visible

REPLAY_PAGE_ROWS: Final = 500  # one answer within the client's patience
QUARANTINE_TABLE: Final = {
    "recorded": Column("TIME (UTC)"),
    "reason": Column("REASON"),
    "size": Column("BYTES", drop=1),
    "at": Column("AT"),
    "hint": Column("CURE", drop=2),
}


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
    shown = [
        {**row, "recorded": short(row["recorded"]), "at": at_of(row["partition"], row["offset"])}
        for row in rows
    ]
    if "hint" in print_table(shown, QUARANTINE_TABLE, told={"hint"}):
        _print_cures(rows)
    if not rows:
        err.print("Nothing is quarantined.")


def _print_cures(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print each reason's cure once, where the table had no room for them."""
    out.print("\nCures", style="bold")
    for reason, hint in sorted({(row["reason"], row["hint"]) for row in rows if row["hint"]}):
        out.print(visible(f"  {reason}: {hint}"), markup=False, soft_wrap=True)


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
    shown = client.get(f"/quarantine/{quoted(coordinates)}")
    if as_json:
        print_json(shown)
        return
    print_section("Quarantined message", shown["message"])
    print_raw(shown)


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
