"""`audit rules explain`: which parts of which rules an event meets."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
import orjson

from cli.context import api_options, ends_well, json_option, open_client
from cli.rules_shared import dirs_option, find_rule, load
from cli.showing import quoted
from cli.terminal import out, print_json, visible
from detections.rule import Derived
from detections.rule_explain import Explained, explain
from detections.rulebook import Given, build, moment_of
from detections.sigma.ruleset import CorrelationPlan, RuleSet
from schemas.errors import BadEvent, Misconfigured
from schemas.moment import parse

EVENT_BYTES_MAX: Final = 1_048_576
NEAR_MAX: Final = 5  # rules shown that nearly matched


@click.command("explain")
@api_options
@dirs_option
@click.argument("event", metavar="EVENT")
@click.option("--rule", help="Only this rule: its name, id or title.")
@click.option("--all", "is_all", is_flag=True, help="Also rules of which nothing matched.")
@json_option
@ends_well
def explain_event(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    dirs: tuple[Path, ...],
    event: str,
    rule: str | None,
    is_all: bool,
    as_json: bool,
) -> None:
    """Show which parts of which rules an event meets.

    EVENT is an event's id or PARTITION:OFFSET, taken from the store; or a JSON file with one
    event, or - for stdin, with what lookups would say of it under "derived".
    """
    ruleset = load(dirs, with_drafts=True).ruleset
    given = _read(event) if _is_file(event) else _fetch(data, api, token_file, event)
    wanted = _wanted(ruleset, rule, dirs) if rule else frozenset[str]()
    found = explain(ruleset, given.fields, given.derived, wanted)
    found.sort(key=lambda one: (not one.is_match, -one.parts_met, one.rule_id))
    if as_json:
        print_json([asdict(one) for one in found])
        return
    _print(found, is_all=is_all or bool(rule))


def _wanted(ruleset: RuleSet, name: str, dirs: tuple[Path, ...]) -> frozenset[str]:
    """Return the rule, and those that a correlation or behaviour stands on."""
    rule = find_rule(ruleset, name, dirs)
    if isinstance(rule, CorrelationPlan):
        bases = {ruleset.rules[base].rule_id for base in rule.rules if isinstance(base, int)}
        return frozenset(bases | {rule.rule_id})
    return frozenset({rule.rule_id})


def _is_file(event: str) -> bool:
    return event == "-" or Path(event).is_file()


def _read(event: str) -> Given:
    """Read an event from a file. Raises `Misconfigured`."""
    try:
        with click.open_file(event, "rb") as stream:  # - is stdin
            content = stream.read(EVENT_BYTES_MAX + 1)
        if len(content) > EVENT_BYTES_MAX:
            raise Misconfigured(f"{event}: more than one event? It has over 1 MiB")
        fields = orjson.loads(content)
        if not isinstance(fields, dict):
            raise Misconfigured(f"{event}: one JSON object expected")
        known = fields.pop("derived", {})
        return build(fields, known, moment_of(fields.get("timestamp", "+0s")))
    except OSError as error:
        raise Misconfigured(f"{event}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise Misconfigured(f"{event}: not JSON") from error
    except BadEvent as error:
        raise Misconfigured(f"{event}: {error}") from error


def _fetch(data: Path, api: str | None, token_file: Path | None, event: str) -> Given:
    """Take an event from the store, with what stage 1 derived then."""
    shown = open_client(data, api, token_file).get(f"/events/{quoted(event)}")
    if shown["raw"] is None:
        raise Misconfigured(f"{event}: its bytes are no text")
    row = shown["event"]
    geo: Mapping[str, Any] = row["geo"]
    flags = tuple(row["flags"])
    derived = Derived(
        occurred=row["timestamp"].replace("T", " ").removesuffix("Z"),
        category=row["category"],
        verb=row["verb"] or "",
        result=row["result"],
        role=row["role"] or "",
        department=row["department"] or "",
        user_status=row["user_status"] or "",
        country=geo["country"] or "",
        asn=geo["asn"] or 0,
        as_name=geo["as_name"] or "",
        client=row["client"] or "",
        data_class=row["data_class"] or "",
        is_protected="protected" in flags,
        has_changes=bool(row["changes"]),
        is_off_hours="off_hours" in flags,
        changed=tuple(change["path"] for change in row["changes"]),
        flags=flags,
        recorded_ms=parse(row["recorded"]).ms,
    )
    return Given(json.loads(shown["raw"]), derived, 0)


def _print(found: list[Explained], *, is_all: bool) -> None:
    matched = [one for one in found if one.is_match]
    near = [one for one in found if not one.is_match and one.parts_met]
    shown = found if is_all else matched + near[:NEAR_MAX]
    for one in shown:
        _print_rule(one)
    out.print(
        f"\n{len(found)} rules look at such events: {len(matched)} match, {len(near)} in part.",
        style="dim",
    )
    if not is_all and len(near) > NEAR_MAX:
        out.print("--rule NAME shows one of the others, --all shows all.", style="dim")


def _print_rule(one: Explained) -> None:
    told = "matches" if one.is_match else "does not match"
    kind = ", only feeds others" if one.is_silent else ""
    style = "bold green" if one.is_match else "bold"
    out.print()
    out.print(visible(f"{one.rule_id} {told}{kind}"), style=style, markup=False, soft_wrap=True)
    out.print(visible(f"  {one.title}"), markup=False, soft_wrap=True)
    out.print(visible(f"  condition: {one.condition}"), style="dim", markup=False, soft_wrap=True)
    for line in one.logsource:
        if not line.is_met:
            has = " | ".join(line.seen) or "(absent)"
            _print_line(2, f"{line.key}: {line.wanted}   has {has}", is_met=False)
    for part in one.parts:
        _print_line(2, part.name, is_met=part.is_met)
        for line in part.lines:
            seen = " | ".join(line.seen) if line.seen else "(absent)"
            wanted = f"{line.key}: {line.wanted}" if line.key else line.wanted
            _print_line(6, f"{wanted}   has {seen}", is_met=line.is_met)
    for feed in one.feeds:
        out.print(visible(f"  feeds {feed}"), style="cyan", markup=False, soft_wrap=True)


def _print_line(indent: int, text: str, *, is_met: bool) -> None:
    mark, style = ("+", "green") if is_met else ("-", "red")
    out.print(f"{' ' * indent}{mark} ", style=style, end="", markup=False, soft_wrap=True)
    out.print(visible(text), markup=False, soft_wrap=True)
