"""`audit rules canaries`: which events prove that each rule still speaks, and whether they did."""

from pathlib import Path
from typing import Any, Final

import click

from cli.client import Refused
from cli.context import api_options, ends_well, json_option, open_client
from cli.rules_shared import dirs_option, load
from cli.showing import short
from cli.terminal import Column, err, out, print_json, print_table, visible
from detections.canary import plan_canaries
from schemas.errors import AuditError

UNKNOWN: Final = "unknown"
CANARY_TABLE: Final = {
    "rule": Column("RULE", least=24),
    "state": Column("STATE", styles={"silent": "red", "ok": "green", UNKNOWN: "dim"}),
    "sent": Column("LAST SENT (UTC)"),
    "fired": Column("LAST FIRED (UTC)"),
    "events": Column("EVENTS", drop=1),
    "case": Column("TEST", least=20, drop=2),
}


@click.command()
@api_options
@dirs_option
@json_option
@ends_well
def canaries(
    *, data: Path, api: str | None, token_file: Path | None, dirs: tuple[Path, ...], as_json: bool
) -> None:
    """List which events prove, on the real path, that each rule still speaks.

    With the services running: when each was last sent, when its rule last fired, and the state.
    """
    loaded = load(dirs)
    plan = plan_canaries(loaded.ruleset, loaded.tests)
    known, trouble = _known(data, api, token_file)
    rows = []
    for canary in plan.canaries:
        last = known.get(canary.rule_id, {})
        rows.append(
            {
                "rule": canary.rule_id,
                "state": last.get("state", UNKNOWN if trouble else "waiting"),
                "sent": last.get("sent"),
                "fired": last.get("fired"),
                "events": len(canary.events),
                "case": canary.case,
            }
        )
    if as_json:
        left_out = [{"rule": rule, "why": why} for rule, why in plan.left_out]
        print_json({"canaries": rows, "left_out": left_out, "unknown": trouble or None})
        return
    for row in rows:
        row["sent"], row["fired"] = (short(row[name]) if row[name] else "" for name in _TIMES)
    print_table(rows, CANARY_TABLE)
    for rule, why in plan.left_out:
        out.print(visible(f"no canary for {rule}: {why}"), style="dim", markup=False)
    if trouble:
        told = visible(f"What became of them is not known: {trouble}")
        err.print(told, style="yellow", markup=False, soft_wrap=True)


_TIMES: Final = ("sent", "fired")


def _known(
    data: Path, api: str | None, token_file: Path | None
) -> tuple[dict[str, dict[str, Any]], str]:
    """Ask the service; without one the plan is still worth showing."""
    try:
        found = open_client(data, api, token_file).get("/canaries")
    except (AuditError, Refused) as error:
        return {}, str(error)
    return {row["rule_id"]: row for row in found["canaries"]}, ""
