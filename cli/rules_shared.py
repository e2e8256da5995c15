"""What the commands on rules share: which rules are meant, and how they are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

from cli.rule_folder import Folder, read_folders, shipped
from cli.terminal import err, visible
from detections.rulebook import RuleTests, beside
from detections.sigma.load import load_rules
from detections.sigma.ruleset import (
    BehaviourPlan,
    CorrelationPlan,
    RuleSet,
    SigmaRule,
)
from schemas.errors import Misconfigured

EXIT_FAILED: Final = 1
F = TypeVar("F", bound=Callable[..., Any])
Loud = SigmaRule | CorrelationPlan | BehaviourPlan

dirs_option: Final = click.option(
    "--dir",
    "dirs",
    multiple=True,
    envvar="AUDIT_RULES_DIRS",
    type=click.Path(path_type=Path),
    help="Folder of rules beside those that ship (AUDIT_RULES_DIRS). May be given again.",
)


class Loaded(NamedTuple):
    """Rules with the files that they came from."""

    folder: Folder
    ruleset: RuleSet
    tests: dict[str, RuleTests]


def load(
    dirs: tuple[Path, ...], paths: tuple[Path, ...] = (), *, with_drafts: bool = False
) -> Loaded:
    """Load the rules that ship, those of the folders, and those of `paths` outside of these.

    Drafts are for commands that try rules. Raises `Misconfigured` for what can't be read; a rule
    that is refused is not loaded.
    """
    within = [path.resolve() for path in dirs]
    others = [path for path in paths if not _is_in(path.resolve(), within)]
    folder = shipped() + read_folders(dict.fromkeys([*dirs, *others]))
    ruleset = load_rules(folder.rules, exceptions=folder.exceptions, with_drafts=with_drafts)
    return Loaded(folder, ruleset, beside(folder.rules, folder.tests))


def _is_in(path: Path, folders: list[Path]) -> bool:
    return any(path == folder or folder in path.parents for folder in folders)


def chosen(path: str, paths: tuple[Path, ...]) -> bool:
    """Say whether a file is among those asked for; without any asked for, all are."""
    if not paths:
        return True
    resolved = Path(path).resolve()
    return any(resolved == asked or asked in resolved.parents for asked in map(Path.resolve, paths))


def loud_of(ruleset: RuleSet) -> list[Loud]:
    """Return what raises alerts of its own, by name."""
    rules: list[Loud] = [rule for rule in ruleset.rules if not rule.is_silent]
    rules += [plan for plan in ruleset.correlations if not plan.is_silent]
    rules += ruleset.behaviours
    return sorted(rules, key=lambda rule: rule.rule_id)


def find_rule(ruleset: RuleSet, name: str, dirs: tuple[Path, ...] = ()) -> Loud:
    """Return a rule by its name, id or title; `dirs` were searched. Raises `Misconfigured`."""
    wanted = name.casefold()
    for rule in loud_of(ruleset):
        if wanted in (rule.rule_id.casefold(), rule.id.casefold(), rule.title.casefold()):
            return rule
    near = [rule.rule_id for rule in loud_of(ruleset) if wanted in rule.rule_id.casefold()]
    if refused := [r for r in ruleset.refusals if wanted == r.rule.casefold()]:
        raise Misconfigured(f"the rule {name!r} is refused: {refused[0]}")
    hint = f"; did you mean {', '.join(near[:5])}?" if near else ": see `audit rules list`"
    if not dirs:
        hint += ". Only the rules that ship were looked at: give --dir FOLDER or AUDIT_RULES_DIRS"
        hint += " for those of a folder, also if services have them live"
    raise Misconfigured(f"there is no rule {name!r}{hint}")


def kind_of(rule: Loud) -> str:
    """Say what kind of rule it is."""
    if isinstance(rule, SigmaRule):
        return "event"
    return rule.type


def warn_of_refusals(loaded: Loaded) -> None:
    """Say on standard error what was not loaded."""
    for refusal in loaded.ruleset.refusals:
        err.print(visible(f"refused: {refusal}"), style="yellow", markup=False, soft_wrap=True)
