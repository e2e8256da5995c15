"""The commands `cases`: list them, show one, add to it, note, and take it along as a file."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import click

from cli.context import api_options, ends_well, json_option, limit_option, open_client
from cli.read import ALERT_ID
from cli.showing import print_section, quoted, short
from cli.terminal import SEVERITY_STYLES, Column, err, out, print_json, print_table, visible
from schemas.errors import Misconfigured

P = ParamSpec("P")
R = TypeVar("R")

CASE_TABLE: Final = {
    "changed": Column("CHANGED (UTC)"),
    "severity": Column("SEVERITY", styles=SEVERITY_STYLES),
    "status": Column("STATUS"),
    "owner": Column("OWNER", drop=2),
    "events": Column("EVENTS"),
    "alerts": Column("ALERTS"),
    "title": Column("TITLE", least=16),
    "case_id": Column("ID"),
}
TIMELINE_TABLE: Final = {
    "at": Column("TIME (UTC)"),
    "kind": Column("KIND"),
    "who": Column("WHO", least=14),
    "what": Column("WHAT", least=20),
    "note": Column("NOTE", least=10, drop=2),
    "name": Column("ID", drop=1),
}
_NAMED: Final = ("users", "addresses", "sessions", "resources")

by_option: Final = click.option(
    "--by", help="Who does it, for the service's token; your login name by default."
)


def case_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add what names the API and one case."""
    command = click.argument("case_id", metavar="CASE")(command)
    return api_options(command)


@click.group()
def cases() -> None:
    """Put events and alerts of an incident together, with notes, on one timeline."""


@cases.command("list")
@api_options
@json_option
@click.option("--status", type=click.Choice(["open", "closed"]))
@click.option("--owner", help="Only of this person.")
@limit_option(50)
@ends_well
def list_cases(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    status: str | None,
    owner: str | None,
    limit: int,
) -> None:
    """List cases, changed last first."""
    client = open_client(data, api, token_file)
    asked = {"status": status, "owner": owner}
    found = list(client.pages("/cases", "cases", asked, limit))
    if as_json:
        print_json(found)
        return
    print_table([{**case, "changed": short(case["changed"])} for case in found], CASE_TABLE)
    if not found:
        err.print("No cases: make one with `audit cases add --title TITLE ID …`.")


@cases.command("show")
@case_options
@json_option
@ends_well
def show_case(
    *, data: Path, api: str | None, token_file: Path | None, as_json: bool, case_id: str
) -> None:
    """Show a case: its timeline, and who takes part."""
    found = open_client(data, api, token_file).get(f"/cases/{quoted(case_id)}")
    if as_json:
        print_json(found)
        return
    out.print(f"\n{visible(found['case']['title'])}", style="bold", markup=False, soft_wrap=True)
    print_section("Case", found["case"])
    print_section("Who takes part", {name: _values(found, name) for name in _NAMED})
    out.print("\nTimeline", style="bold")
    print_table([{**one, "at": short(one["at"])} for one in found["timeline"]], TIMELINE_TABLE)


@cases.command("add")
@api_options
@json_option
@by_option
@click.option("--case", "case_id", help="The case; without it a new one is made.")
@click.option("--title", help="What the new case is about.")
@click.option("--note", default="", help="Kept with what is added.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@ends_well
def add(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    as_json: bool,
    by: str | None,
    case_id: str | None,
    title: str | None,
    note: str,
    ids: tuple[str, ...],
) -> None:
    """Add events (by id or PARTITION:OFFSET) and alerts (by whole id) to a case."""
    if (case_id is None) == (title is None):
        raise Misconfigured("give either --case or, for a new one, --title")
    client = open_client(data, api, token_file)
    who = {} if by is None else {"by": by}
    if case_id is None:
        case_id = client.post("/cases", {**who, "title": title})["case"]["case_id"]
    asked = {
        **who,
        "event_ids": [one for one in ids if not ALERT_ID.fullmatch(one)],
        "alert_ids": [one for one in ids if ALERT_ID.fullmatch(one)],
        "note": note,
    }
    done = client.post(f"/cases/{quoted(case_id)}/members", asked)
    if as_json:
        print_json(done)
        return
    known = f", {done['known']} were in it already" if done["known"] else ""
    out.print(f"{case_id}: {done['added']} added{known}", markup=False, soft_wrap=True)
    for one in done["missing"]:
        err.print(visible(f"not found: {one}"), style="yellow", markup=False, soft_wrap=True)


@cases.command("note")
@case_options
@by_option
@click.option("--at", help="The moment it is about: RFC 3339, or 15m, 2h ago; now by default.")
@click.argument("text")
@ends_well
def write_note(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    by: str | None,
    at: str | None,
    case_id: str,
    text: str,
) -> None:
    """Write a note into a case."""
    asked = {"text": text, "at": at, "by": by}
    body = {name: value for name, value in asked.items() if value is not None}
    open_client(data, api, token_file).post(f"/cases/{quoted(case_id)}/notes", body)


@cases.command("export")
@case_options
@click.option(
    "--out",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file; standard output by default.",
)
@ends_well
def export(
    *, data: Path, api: str | None, token_file: Path | None, case_id: str, path: Path | None
) -> None:
    """Write all of a case as one JSON file, each event with its raw bytes and their SHA-256."""
    found = open_client(data, api, token_file).get(f"/cases/{quoted(case_id)}/export")
    text = json.dumps(found, indent=2) + "\n"
    if path is None:
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
    out.print(visible(f"wrote {path}: {len(found['events'])} events"), markup=False)


def _values(found: Mapping[str, Any], name: str) -> list[str]:
    return [f"{one['value']} ({one['count']})" for one in found["participants"][name]]
