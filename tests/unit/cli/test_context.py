from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main

CLIENT_COMMANDS = (
    ("publish", "-"),
    ("search",),
    ("show", "x"),
    ("alerts",),
    ("quarantine", "list"),
    ("quarantine", "show", "x"),
    ("quarantine", "replay"),
    ("ledger",),
    ("doctor",),
)


@pytest.mark.parametrize("words", CLIENT_COMMANDS, ids=" ".join)
def test_misspelt_setting_is_refused_by_every_client_command(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    env = {"AUDIT_DATA_DIR": str(tmp_path), "AUDIT_KAFKA_BOTSTRAP": "secret-host:9092"}
    done = CliRunner().invoke(main, [*words], env=env)
    assert done.exit_code == 2
    assert "did you mean AUDIT_KAFKA_BOOTSTRAP?" in done.output
    assert "secret-host" not in done.output


def test_names_that_somebody_reads_are_no_mistake(tmp_path: Path) -> None:
    env = {
        "AUDIT_DATA_DIR": str(tmp_path),
        "AUDIT_API_URL": "http://127.0.0.1:1",
        "AUDIT_API_TOKEN_FILE": str(tmp_path / "token"),
        "AUDIT_SINK_ROWS_MAX": "7",
        "AUDIT_LOG_LEVEL": "",
        "AUDIT_LOG_LEVELL": "",
    }
    done = CliRunner().invoke(main, ["search"], env=env)
    assert done.exit_code == 2
    assert "no such setting" not in done.output
    assert "no token at" in done.output
