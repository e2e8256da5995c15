"""docs/behaviours.md says what the code does: its examples load, its parameters are all there."""

import re
from pathlib import Path

from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile
from detections.stateful.behaviours import PARAMETERS
from detections.stateful.keeper import Keeper

PAGE = Path(__file__).parents[4] / "docs/behaviours.md"
BASES = ("login-failed", "role-granted", "protected-read", "role-revoked", "export")


def test_examples_load_and_can_be_served() -> None:
    text = PAGE.read_text(encoding="utf-8")
    bases = [
        f"title: {name}\nname: {name}\nid: 00000000-0000-4000-8000-00000000000{number}\n"
        "logsource: {product: dutycall}\ndetection: {s: {action: a.b}, condition: s}\nlevel: low\n"
        for number, name in enumerate(BASES)
    ]
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ruleset = load_rules([RuleFile("page.yml", "---\n".join([*bases, *examples]))])
    assert [str(refusal) for refusal in ruleset.refusals] == []
    assert len(ruleset.correlations) == 3
    assert len(ruleset.behaviours) == 1
    assert Keeper(ruleset).refused == {}


def test_every_parameter_has_its_place() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for kind, parameters in PARAMETERS.items():
        section = text.split(f"### {kind}\n")[1].split("\n## ")[0].split("\n### ")[0]
        assert [name for name in parameters if f"`{name}`" not in section] == [], kind
