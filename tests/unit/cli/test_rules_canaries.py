"""`audit rules canaries`: the plan alone, and with what a service knows of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import rules_canaries
from cli.main import main

SENT, FIRED = "2026-11-23T07:00:00.000Z", "2026-11-23T07:00:01.500Z"


class Service:
    """Knows two rules."""

    def get(self, _path: str) -> dict[str, Any]:
        return {
            "canaries": [
                {"rule_id": "mass-export", "state": "ok", "sent": SENT, "fired": FIRED},
                {"rule_id": "password-spray", "state": "silent", "sent": SENT, "fired": None},
            ]
        }


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["rules", "canaries", *args])


def test_plan_is_shown_without_a_service(tmp_path: Path) -> None:
    done = run("--json", "--data", str(tmp_path))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {row["state"] for row in told["canaries"]} == {"unknown"}
    assert "nothing has run" in told["unknown"]
    assert told["left_out"]


def test_what_the_service_knows_stands_beside_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules_canaries, "open_client", lambda *_args: Service())
    told = json.loads(run("--json").stdout)
    rows = {row["rule"]: row for row in told["canaries"]}
    assert (rows["mass-export"]["state"], rows["mass-export"]["fired"]) == ("ok", FIRED)
    assert rows["password-spray"]["state"] == "silent"
    assert rows["mass-deletion"]["state"] == "waiting"
    shown = run().stdout
    assert "silent" in shown
    assert "no canary for new-country" in shown
