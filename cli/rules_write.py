"""`audit rules new` and `audit rules except`: files of rules, tests and exceptions, made right."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import click
import yaml

from cli.context import ends_well
from cli.rule_folder import EXCEPTIONS, test_name
from cli.rules_shared import dirs_option, find_rule, load
from cli.terminal import out, visible
from detections.sigma.load import load_rules
from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan, RuleFile, SigmaRule
from runtime.clock import SystemClock
from schemas.errors import Misconfigured

NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SPAN: Final = re.compile(r"([0-9]{1,4})d")
DAYS_MAX: Final = 366  # an exception that nobody looks at for longer is a hole
FOLDER: Final = "rules"

_HEAD: Final = """\
title: {title}
id: {id}
name: {name}
status: experimental
description: Say what it finds, in one sentence.
references:
  - https://attack.mitre.org/techniques/T1078/
author: {author}
date: {today}
tags:
  - attack.initial-access
  - attack.t1078
"""
_TAIL: Final = """\
falsepositives:
  - Say when it is harmless, and how to tell.
level: medium
audit:
  version: 1 # raise it when it finds something else: its alerts then have other ids
  risk: 20
  why: Say why somebody should care.
  summary: "{{user}} did {{action}} from {{ip_address}}."
  runbook: |
    What else did the person do: audit search --user {{user}} --since 24h
    Say what to do if it is real.
"""
_EVENT: Final = """\
logsource:
  product: dutycall
  category: authentication
detection:
  selection:
    action: authentication.login.success
    details.method: password
  filter:
    role: service
  condition: selection and not filter
"""
_CORRELATION: Final = """\
correlation:
  type: event_count
  rules: [login-failed] # a rule above, in another file, or one below
  group-by: [user]
  timespan: 10m
  condition:
    gte: 20
"""
_BEHAVIOUR: Final = """\
logsource:
  product: dutycall
  category: authentication
detection:
  selection:
    action: authentication.login.success
    country: '*'
  condition: selection
behaviour:
  type: first_seen
  group: [user]
  value: country
  learning: 14d
  expiry: 90d
"""
_EVENT_TEST: Final = """\
match:
  - {action: authentication.login.success, details: {method: password}}
no_match:
  - {action: authentication.login.success, details: {method: sso}}
  - {action: authentication.login.success, role: service, details: {method: password}}
"""
_CORRELATION_TEST: Final = """\
match:
  - name: twenty failures
    events:
      - {repeat: 20, every: 10s, action: authentication.login.failed}
no_match:
  - name: nineteen failures
    events:
      - {repeat: 19, every: 10s, action: authentication.login.failed}
"""
_BEHAVIOUR_TEST: Final = """\
match:
  - name: three weeks of Germany, then Brazil
    events:
      - {repeat: 21, every: 1d, action: authentication.login.success, derived: {country: DE}}
      - {at: +21d, action: authentication.login.success, derived: {country: BR}}
no_match:
  - name: still learning
    events:
      - {repeat: 5, every: 1d, action: authentication.login.success, derived: {country: DE}}
      - {at: +5d, action: authentication.login.success, derived: {country: BR}}
"""
_BODIES: Final = {
    "event": (_EVENT, _EVENT_TEST),
    "correlation": (_CORRELATION, _CORRELATION_TEST),
    "behaviour": (_BEHAVIOUR, _BEHAVIOUR_TEST),
}


@click.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(sorted(_BODIES)),
    default="event",
    show_default=True,
    help="Of what.",
)
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Folder to put it in.",
)
@click.option("--author", default="Your name", help="Who stands for it.")
@ends_well
def new(*, name: str, kind: str, folder: Path, author: str) -> None:
    """Make a rule called NAME (words-with-dashes) and its tests, ready to be changed."""
    if not NAME.fullmatch(name):
        raise Misconfigured("NAME: want words-with-dashes, such as login-at-night")
    body, tests = _BODIES[kind]
    head = _HEAD.format(
        title=name.replace("-", " ").capitalize(),
        id=uuid4(),
        name=name,
        author=yaml.safe_dump(author).splitlines()[0],
        today=_today(),
    )
    path = folder / f"{name.replace('-', '_')}.yml"
    _write_new(path, head + body + _TAIL.format())
    beside = path.with_name(test_name(path.name))
    _write_new(beside, tests)
    out.print(visible(f"made {path} and {beside}"), markup=False, soft_wrap=True)
    out.print(visible(f"try it: audit rules test {path}"), markup=False, soft_wrap=True)


@click.command("except")
@dirs_option
@click.argument("rule")
@click.option("--where", multiple=True, required=True, help="What to leave out: 'user: svc-x'.")
@click.option("--owner", required=True, help="Who stands for it.")
@click.option("--reason", required=True, help="Why it is no finding.")
@click.option("--until", required=True, help="When it ends: 2026-12-31, or in 90d.")
@click.option("--tenant", help="Only for events of this tenant; for all by default.")
@click.option(
    "--in",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of rules to put it in, and to look for RULE; the first --dir by default.",
)
@ends_well
def except_from(
    *,
    dirs: tuple[Path, ...],
    rule: str,
    where: tuple[str, ...],
    owner: str,
    reason: str,
    until: str,
    tenant: str | None,
    folder: Path | None,
) -> None:
    """Except from RULE what a selection matches, as a file with owner, reason and end.

    Each --where is one line of a Sigma selection; all of them must hold. What an exception hides
    is counted and can be searched. Running services take it up with the next reload.
    """
    there = (folder,) if folder and folder.is_dir() else ()
    loaded = load(dirs, there)
    found = find_rule(loaded.ruleset, rule, dirs + there)
    if isinstance(found, CorrelationPlan):
        bases = [loaded.ruleset.rules[n].rule_id for n in found.rules if isinstance(n, int)]
        raise Misconfigured(
            f"{found.rule_id} is made of other rules: write a Sigma filter for one of them"
            f" ({', '.join(bases)})"
        )
    if isinstance(found, BehaviourPlan):
        found = loaded.ruleset.rules[found.selection]
    into = folder or next(iter(dirs), None)
    if into is None:
        raise Misconfigured("name the folder of rules to put it in: --in, or AUDIT_RULES_DIRS")
    told = {"owner": owner, "reason": reason, "expires": _end(until)}
    path, text = _exception(found, where, told | ({"tenant": tenant} if tenant else {}), into)
    check = load_rules(loaded.folder.rules, exceptions=[RuleFile(str(path), text)])
    faults = [refusal for refusal in check.refusals if refusal.path == str(path)]
    if faults:
        raise Misconfigured("\n".join(fault.reason for fault in faults))
    _write_new(path, text)
    out.print(visible(f"made {path}"), markup=False, soft_wrap=True)


def _exception(
    rule: SigmaRule, where: tuple[str, ...], told: Mapping[str, str], folder: Path
) -> tuple[Path, str]:
    selection: dict[str, Any] = {}
    for line in where:
        try:
            part = yaml.safe_load(line)
        except yaml.YAMLError as error:
            raise Misconfigured(f"--where {line!r}: want field: value") from error
        if not isinstance(part, dict):
            raise Misconfigured(
                f"--where {line!r}: want field: value, with a blank after the colon"
            )
        selection |= part
    identity = str(uuid4())
    document = {
        "title": f"Exception from {rule.title}"[:256],
        "id": identity,
        "name": f"{rule.rule_id}-except-{identity[:8]}"[:128],
        "logsource": dict(rule.document["logsource"]),
        "detection": {"selection": selection, "condition": "selection"},
        "exception": {"rules": [rule.rule_id], **told},
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return folder / EXCEPTIONS / f"{rule.rule_id}_{identity[:8]}.yml", text


def _end(until: str) -> str:
    """Read a date, or so many days from now. Raises `Misconfigured`."""
    today = _today()
    span = SPAN.fullmatch(until)
    try:
        end = today + timedelta(days=int(span[1])) if span else date.fromisoformat(until)
    except ValueError as error:
        raise Misconfigured("--until: want a date such as 2026-12-31, or 90d") from error
    if not today < end <= today + timedelta(days=DAYS_MAX):
        raise Misconfigured(f"--until: want a day after today, within {DAYS_MAX} days")
    return end.isoformat()


def _today() -> date:
    return datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).date()


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises `Misconfigured`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Misconfigured(f"{path} is there already: choose another name") from error
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}") from error
