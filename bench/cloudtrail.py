"""Which simulated attacks the rules find in real CloudTrail events, and what else they raise.

Stratus Red Team names itself in the user agent of what it does. That mark is used here alone, to
know the truth; no rule looks at it. A technique is found if an alert names one of its events.
"""

import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from bench.broker import say
from bench.report import ROOT, Row, Table
from cli.rule_folder import read_folder, shipped
from detections.rulebook import Given, build, moment_of
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleSet
from detections.stateful.extractor import Origin
from detections.trial import SETTLED_MS, SILENCE, Raised, Trial, loud_rules
from producers.cloudtrail import from_cloudtrail

DATA: Final = ROOT.parent / "shared" / "data"
EVENTS: Final = DATA / "cloudtrail" / "invictus-aws-2023-07-10.jsonl.gz"
SIGMAHQ: Final = DATA / "sigmahq" / "rules" / "cloud" / "aws"
MARK: Final = "stratus-red-team_"
SET_UP: Final = "Terraform"  # what builds the stage for an attack is none itself
SETTLE_MS: Final = 60_000
DAY_MS: Final = 86_400_000

Record = Mapping[str, Any]
Is = Callable[[Record], bool]


def _named(*names: str) -> Is:
    return lambda record: record["eventName"] in names


def _asked(name: str, parameter: str) -> Is:
    """Tell attack from clean-up, where both make the same call: by what was asked for."""

    def is_one(record: Record) -> bool:
        asked = orjson.dumps(record["requestParameters"]).decode()
        return record["eventName"] == name and parameter in asked

    return is_one


# Source: stratus-red-team.cloud, the pages of the techniques of version 2.6.
TECHNIQUES: Final[Mapping[str, Is]] = {
    "credential-access.ec2-get-password-data": _named("GetPasswordData"),
    "credential-access.ec2-steal-instance-credentials": lambda r: (
        r["eventName"] == "SendCommand" and not r.get("errorCode")
    ),
    "credential-access.secretsmanager-retrieve-secrets": _named("GetSecretValue"),
    "credential-access.ssm-retrieve-securestring-parameters": _named("GetParameters"),
    "defense-evasion.cloudtrail-delete": _named("DeleteTrail"),
    "defense-evasion.cloudtrail-event-selectors": _asked("PutEventSelectors", "ReadOnly"),
    "defense-evasion.cloudtrail-lifecycle-rule": _named("PutBucketLifecycle"),
    "defense-evasion.cloudtrail-stop": _named("StopLogging"),
    "defense-evasion.organizations-leave": _named("LeaveOrganization"),
    "defense-evasion.vpc-remove-flow-logs": _named("DeleteFlowLogs"),
    "discovery.ec2-download-user-data": _named("DescribeInstanceAttribute"),
    "discovery.ec2-enumerate-from-instance": lambda r: (
        r["eventName"] == "SendCommand" and bool(r.get("errorCode"))
    ),
    "execution.ec2-launch-unusual-instances": _named("RunInstances"),
    "exfiltration.ec2-security-group-open-port-22-ingress": _named("AuthorizeSecurityGroupIngress"),
    "exfiltration.ec2-share-ami": _asked("ModifyImageAttribute", '"add"'),
    "exfiltration.ec2-share-ebs-snapshot": _asked("ModifySnapshotAttribute", '"add"'),
    "exfiltration.rds-share-snapshot": _asked("ModifyDBSnapshotAttribute", "valuesToAdd"),
    "exfiltration.s3-backdoor-bucket-policy": _named("PutBucketPolicy"),
    "initial-access.console-login-without-mfa": _named("ConsoleLogin"),
    "persistence.iam-backdoor-role": _asked("UpdateAssumeRolePolicy", ":root"),
    "persistence.iam-backdoor-user": _asked("CreateAccessKey", "backdoor-u-user"),
    "persistence.iam-create-admin-user": lambda r: (
        r["eventName"] in ("CreateUser", "AttachUserPolicy")
        or _asked("CreateAccessKey", "malicious-iam-user")(r)
    ),
    "persistence.iam-create-user-login-profile": _named("CreateLoginProfile"),
    "persistence.lambda-backdoor-function": _named("AddPermission20150331v2"),
    "persistence.lambda-overwrite-code": lambda r: (
        r["eventName"] == "UpdateFunctionCode20150331v2" and "s3Key" not in r["requestParameters"]
    ),
    "persistence.rolesanywhere-create-trust-anchor": _named("CreateTrustAnchor", "CreateProfile"),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What one set of rules made of all events."""

    by_technique: Mapping[str, Sequence[str]]
    ordinary: Counter[str]
    staged: int
    seconds: float = 0.0


def run() -> Table:
    """Judge all events by SigmaHQ's rules for AWS, and by those and ours."""
    if not EVENTS.is_file():
        raise SystemExit(f"{EVENTS.parent} is not here: the data is not part of the project")
    records = [orjson.loads(line) for line in gzip.decompress(EVENTS.read_bytes()).splitlines()]
    events = [_given(record) for record in records]
    theirs = read_folder(SIGMAHQ).rules
    ours = tuple(file for file in shipped().rules if "/aws/" in file.path)
    assert not any(MARK.encode() in bytes(file.text) for file in ours)  # type: ignore[arg-type]  # read as bytes
    sets = {"SigmaHQ": load_rules(theirs), "ours": load_rules(ours)}
    found = {name: _judge(ruleset, records, events) for name, ruleset in sets.items()}
    rows: list[Row] = []
    for technique, is_one in TECHNIQUES.items():
        count = sum(_is_attack(record) and is_one(record) for record in records)
        row: Row = {"technique (aws.…)": technique, "events": count}
        for name, result in found.items():
            row[f"found by {name}"] = ", ".join(result.by_technique[technique]) or "missed"
        rows.append(row)
    return Table(
        "cloudtrail",
        f"Simulated attacks in {len(records):,} CloudTrail events",
        rows,
        notes=_notes(found, sets, records),
        facts={
            "found": {name: _count(result) for name, result in found.items()},
            "together": sum(any(f.by_technique[t] for f in found.values()) for t in TECHNIQUES),
            "techniques": len(TECHNIQUES),
            "ordinary": {name: dict(result.ordinary) for name, result in found.items()},
        },
    )


def _count(found: Found) -> int:
    return sum(bool(rules) for rules in found.by_technique.values())


def _notes(
    found: Mapping[str, Found], sets: Mapping[str, RuleSet], records: Sequence[Record]
) -> list[str]:
    together = sum(any(f.by_technique[t] for f in found.values()) for t in TECHNIQUES)
    ordinary = sum(MARK not in _agent(record) for record in records)
    each = ", ".join(f"{_count(result)} by {name}" for name, result in found.items())
    notes = [
        f"Found: {each}, {together} of {len(TECHNIQUES)} together; no rule looks at the mark.",
        "",
        f"The ordinary part, {ordinary:,} events of that day within an hour, raised:",
        "",
    ]
    for name, result in found.items():
        told = ", ".join(f"{rule} {count}" for rule, count in result.ordinary.most_common())
        refused = len(sets[name].refusals)
        count = sum(len(rules) for rules in loud_rules(sets[name]).values())
        notes.append(
            f"- {name} ({count} rules, {refused} refused): {sum(result.ordinary.values())} alerts"
            f" that day: {told or '-'}."
            f" {result.staged} more came from setting the stage and clearing it away."
        )
    return notes


def _given(record: Record) -> Given:
    fields = from_cloudtrail(dict(record))
    return build(fields, {}, moment_of(record["eventTime"]))


def _agent(record: Record) -> str:
    return str(record.get("userAgent") or "")


def _is_attack(record: Record) -> bool:
    return MARK in _agent(record) and SET_UP not in _agent(record)


def _judge(ruleset: RuleSet, records: Sequence[Record], events: Sequence[Given]) -> Found:
    """Judge the events in the order of their time."""
    say(f"{len(ruleset.rules)} rules over {len(events):,} events")
    raised = _raise_all(ruleset, events)
    by_id = {record["eventID"]: record for record in records}
    by_technique: dict[str, set[str]] = defaultdict(set)
    ordinary: Counter[str] = Counter()
    staged = 0
    titles = {rule.rule_id: rule.title for rule in ruleset.rules if not rule.name}
    for alert in raised:
        name = titles.get(alert.rule_id, alert.rule_id)
        named = [by_id[event_id] for event_id in alert.event_ids if event_id in by_id]
        techniques = {
            technique
            for record in named
            if _is_attack(record)
            for technique, is_one in TECHNIQUES.items()
            if is_one(record)
        }
        for technique in techniques:
            by_technique[technique].add(name)
        if not techniques:
            if all(MARK not in _agent(record) for record in named):
                ordinary[name] += 1
            else:
                staged += 1
    sorted_out = {technique: sorted(by_technique[technique]) for technique in TECHNIQUES}
    return Found(sorted_out, ordinary, staged)


def _raise_all(ruleset: RuleSet, events: Sequence[Given]) -> list[Raised]:
    trial = Trial(ruleset)
    raised: dict[str, Raised] = {}
    settled_ms = 0

    def settle(watermark_ms: int, is_served: Callable[[str], bool] = lambda _rule: True) -> None:
        raised.update({alert.alert_id: alert for alert in trial.settle(watermark_ms, is_served)})

    for offset, given in enumerate(sorted(events, key=lambda given: given.occurred_ms)):
        at_ms, fields = given.occurred_ms, given.fields
        if at_ms - settled_ms >= SETTLE_MS:
            settle(at_ms)
            settled_ms = at_ms
        who = (fields.get("event_id", ""), fields["user"], fields["action"], "", "", "")
        origin = Origin("default", "bench", 0, offset, at_ms, at_ms, who)
        for alert in trial.take(fields, given.derived, origin):
            raised[alert.alert_id] = alert
    settle(settled_ms + SETTLED_MS, lambda rule: rule != SILENCE)
    return list(raised.values())
