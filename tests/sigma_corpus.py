"""Other people's rules and events, beside the project: SigmaHQ's rules and cases, CloudTrail."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import yaml

from detections.rule import Derived
from detections.sigma.ruleset import RuleFile

DATA = Path(__file__).parents[2] / "shared" / "data"
SIGMAHQ = DATA / "sigmahq"
CLOUDTRAIL = DATA / "cloudtrail"
needs_data = pytest.mark.skipif(not SIGMAHQ.is_dir(), reason="../shared/data is not here")

UNKNOWN = Derived(
    *(("",) * 8), asn=0, as_name="", client="", data_class="", is_protected=False, has_changes=False
)


class Case(NamedTuple):
    """One regression case: the rule that must match, how often at least, and the events."""

    rule_id: str
    match_count: int
    events: list[dict[str, Any]]
    name: str


def rule_files(part: str = "") -> list[RuleFile]:
    """Read SigmaHQ's rules; `part` is a piece of the path."""
    paths = sorted(p for p in SIGMAHQ.glob("rules*/**/*.yml") if part in p.as_posix())
    return [RuleFile(str(p.relative_to(SIGMAHQ)), p.read_bytes()) for p in paths]


def cases() -> Iterator[Case]:
    """Read the regression cases."""
    for info in sorted(SIGMAHQ.glob("regression_data/**/info.yml")):
        told = yaml.safe_load(info.read_bytes())
        for test in told["regression_tests_info"]:
            path = info.with_name(Path(test["path"]).with_suffix(".json").name)
            events = [_flatten(event) for event in _read_all(path.read_text())]
            rule_id = str(told["rule_metadata"][0]["id"])
            yield Case(rule_id, test.get("match_count", 1), events, info.parent.name)


def cloudtrail() -> list[dict[str, Any]]:
    """Read the CloudTrail events."""
    (path,) = CLOUDTRAIL.glob("*.jsonl.gz")
    return [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _read_all(text: str) -> Iterator[dict[str, Any]]:
    decoder, at = json.JSONDecoder(), 0
    text = text.strip()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield from value if isinstance(value, list) else [value]
        while at < len(text) and text[at].isspace():
            at += 1


def _flatten(event: dict[str, Any]) -> dict[str, Any]:
    if "Event" not in event:
        return event
    inner = event["Event"]
    data = inner.get("EventData") or {}
    for record in (inner.get("UserData") or {}).values():  # its record lies one level deeper
        data = {**data, **record}
    flat: dict[str, Any] = {}
    for spaced, value in [*(inner.get("System") or {}).items(), *data.items()]:
        name = spaced.replace(" ", "")
        plain = value
        if isinstance(value, dict) and "#attributes" in value:
            for attribute, text in value["#attributes"].items():
                flat[f"{name}_{attribute}"] = text
            plain = value.get("#text")
        if plain is not None:
            flat[name] = plain
    return flat
