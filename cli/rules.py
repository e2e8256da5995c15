"""`audit rules …`: what a detection engineer does with rules before they go live."""

import importlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from cli.context import ends_well, json_option
from cli.rules_shared import (
    EXIT_FAILED,
    chosen,
    dirs_option,
    kind_of,
    load,
    loud_of,
    warn_of_refusals,
)
from cli.terminal import SEVERITY_STYLES, Column, err, out, print_json, print_table, visible
from detections.rule_lint import lint
from detections.trial import loud_rules, run_tests
from schemas.alert import SEVERITIES

RULE_TABLE: Final = {
    "rule": Column("RULE", least=24),
    "kind": Column("KIND", drop=2),
    "severity": Column("SEVERITY", styles=SEVERITY_STYLES),
    "risk": Column("RISK", drop=3),
    "title": Column("TITLE", least=24, drop=1),
    "techniques": Column("ATT&CK", least=8, drop=4),
}
ISSUE_TABLE: Final = {
    "grade": Column("GRADE", styles={"error": "red", "warning": "yellow"}),
    "place": Column("PLACE", least=24),
    "rule": Column("RULE", least=16, drop=1),
    "said": Column("WHAT", least=30),
}

paths_argument: Final = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))


class _Place(NamedTuple):
    module: str
    name: str


_LATE: Final = {
    "explain": _Place("cli.rules_explain", "explain_event"),
    "new": _Place("cli.rules_write", "new"),
    "except": _Place("cli.rules_write", "except_from"),
    "backtest": _Place("cli.rules_backtest", "backtest"),
    "canaries": _Place("cli.rules_canaries", "canaries"),
}


class _Group(click.Group):
    """The commands of this module, and those that are imported when called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name all commands, in the order of their use."""
        return [*self.commands, *_LATE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command; None if there is no such."""
        place = _LATE.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(place.module), place.name)
        return command


@click.group(cls=_Group)
def rules() -> None:
    """Look at, write and try the rules that detect.

    Rules are Sigma files. Those that ship are always there; --dir or AUDIT_RULES_DIRS adds
    folders. See docs/detection.md.
    """


@rules.command("list")
@dirs_option
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only of this severity.")
@click.option("--tag", help="Only with this tag, or a part of it: t1110, attack.exfiltration.")
@json_option
@ends_well
def list_rules(
    *, dirs: tuple[Path, ...], severity: str | None, tag: str | None, as_json: bool
) -> None:
    """List all rules that raise alerts."""
    loaded = load(dirs)
    rows = [
        {
            "rule": rule.rule_id,
            "kind": kind_of(rule),
            "severity": rule.severity,
            "risk": rule.risk,
            "title": rule.title,
            "version": rule.version,
            "techniques": " ".join(t[7:].upper() for t in rule.tags if t.startswith("attack.t1")),
            "tags": list(rule.tags),
            "path": rule.path,
        }
        for rule in loud_of(loaded.ruleset)
        if severity in (None, rule.severity)
        and (tag is None or any(tag.lower() in known for known in rule.tags))
    ]
    if as_json:
        print_json({"version": loaded.ruleset.version, "rules": rows})
    else:
        print_table(rows, RULE_TABLE)
        kinds = Counter(row["kind"] for row in rows)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        out.print(f"{len(rows)} rules ({told}), version {loaded.ruleset.version}", style="dim")
    warn_of_refusals(loaded)


@rules.command()
@dirs_option
@paths_argument
@json_option
@ends_well
def test(*, dirs: tuple[Path, ...], paths: tuple[Path, ...], as_json: bool) -> None:
    """Run the tests beside the rules: all, or those in PATHS (files or folders).

    A rule of ours without tests that must match and tests that must not fails; rules of others,
    such as SigmaHQ's, need none. Exit status 1 if any test failed or a rule was refused.
    """
    loaded = load(dirs, paths, with_drafts=True)
    outcomes = run_tests(loaded.ruleset, loaded.tests, lambda path: chosen(path, paths))
    refusals = [r for r in loaded.ruleset.refusals if chosen(r.path, paths)]
    failed = [outcome for outcome in outcomes if outcome.said]
    seen = {outcome.path for outcome in outcomes}
    asked = {p: ids for p, ids in loud_rules(loaded.ruleset).items() if chosen(p, paths)}
    untested = sum(len(ids) for path, ids in asked.items() if path not in seen)
    if as_json:
        rows: list[dict[str, Any]] = [
            {"rule": o.rule_id, "case": o.case, "passed": not o.said, "said": o.said}
            for o in outcomes
        ]
        print_json({"tests": rows, "refused": [str(refusal) for refusal in refusals]})
    else:
        for refusal in refusals:
            out.print(visible(f"refused {refusal}"), style="red", markup=False, soft_wrap=True)
        for outcome in failed:
            parts = (outcome.rule_id, outcome.case, outcome.said)
            told = visible(f"FAILED  {': '.join(part for part in parts if part)}")
            out.print(told, style="red", markup=False, soft_wrap=True)
        count = len({outcome.rule_id for outcome in outcomes})
        passed = len(outcomes) - len(failed)
        out.print(f"{count} rules, {passed} tests passed, {len(failed)} failed")
        if untested:
            told = "rule of others has" if untested == 1 else "rules of others have"
            out.print(f"{untested} {told} no tests, and need none")
    if failed or refusals or not (outcomes or untested):
        if not (outcomes or untested or refusals):
            err.print("No rule is there: name its file or folder.", soft_wrap=True)
        sys.exit(EXIT_FAILED)


@rules.command("lint")
@dirs_option
@paths_argument
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@json_option
@ends_well
def lint_rules(
    *, dirs: tuple[Path, ...], paths: tuple[Path, ...], strict: bool, as_json: bool
) -> None:
    """Look for what is wrong or missing in rules: all, or those in PATHS.

    Checks of Sigma itself, and ours: a runbook with a search to paste, tags, false positives,
    tests, fields and actions that exist. Exit status 1 if there is an error.
    """
    loaded = load(dirs, paths, with_drafts=True)
    files = [file for file in loaded.folder.rules if chosen(file.path, paths)]
    issues = [
        {
            "grade": issue.grade,
            "place": f"{issue.path}:{issue.line}",
            "rule": issue.rule,
            "said": issue.said,
        }
        for issue in lint(files, loaded.ruleset, loaded.tests)
        if chosen(issue.path, paths)
    ]
    errors = sum(strict or issue["grade"] == "error" for issue in issues)
    if as_json:
        print_json({"issues": issues})
    else:
        print_table(issues, ISSUE_TABLE)
        out.print(f"{len(files)} files, {errors} errors, {len(issues) - errors} warnings")
    if errors:
        sys.exit(EXIT_FAILED)
