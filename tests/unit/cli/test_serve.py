from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.serve import SETTINGS
from schemas.secrets import MASK

SECRETS = {
    "AUDIT_KAFKA_SASL_PASSWORD": "hunter2-hunter2",
    "AUDIT_STORE_DSN": "clickhouse://writer:tr0ub4dor@store:8123/audit",
    "AUDIT_ALERT_TARGETS": "ntfys://topic-that-is-secret",
}


def check(service: str, env: dict[str, str], *options: str) -> tuple[int, str]:
    """Run `audit serve SERVICE --check`; return its exit status and all that it printed."""
    done = CliRunner().invoke(main, ["serve", service, "--check", *options], env=env)
    return done.exit_code, done.output


@pytest.mark.parametrize("service", SETTINGS)
def test_check_prints_every_setting_with_its_origin_and_no_secret(service: str) -> None:
    status, shown = check(service, SECRETS | {"AUDIT_LOG_LEVEL": "debug"})
    assert status == 0, shown
    for cls in SETTINGS[service]:
        for field in cls.model_fields:
            assert cls.variable(field) in shown
    assert "(environment)" in shown
    assert "(default)" in shown
    for name, secret in SECRETS.items():
        assert secret not in shown
        if name in shown:
            assert MASK in shown


@pytest.mark.parametrize("service", SETTINGS)
def test_check_names_everything_that_is_wrong_at_once(service: str) -> None:
    wrong = {"AUDIT_LOG_LEVEL": "loud", "AUDIT_KAFKA_PARTITIONS": "0", "AUDIT_SINK_ROW_MAX": "1"}
    status, shown = check(service, SECRETS | wrong)
    assert status == 2
    told = [line for line in shown.splitlines() if line.startswith("wrong: ")]
    assert len(told) == len(wrong)
    for name in wrong:
        assert sum(name in line for line in told) == 1
    assert not any(secret in shown for secret in SECRETS.values())


def test_check_reads_the_file_and_the_environment_wins(tmp_path: Path) -> None:
    file = tmp_path / "audit.toml"
    file.write_text('[sink]\nrows_max = 7\nage_ms_max = 20\n[log]\nlevel = "\\u001b[2J"\n')
    status, shown = check("sink", {"AUDIT_SINK_ROWS_MAX": "8"}, "--config", str(file))
    assert status == 2
    assert "\x1b" not in shown
    lines = {line.split()[0]: line for line in shown.splitlines()}
    assert "8  (environment)" in lines["AUDIT_SINK_ROWS_MAX"]
    assert f"20  ({file})" in lines["AUDIT_SINK_AGE_MS_MAX"]


@pytest.mark.parametrize("service", ["alerts", "store"])
def test_check_reads_the_routes_file_as_the_service_would(service: str, tmp_path: Path) -> None:
    file = tmp_path / "routes.yml"
    file.write_text("targets: {chat: {url: 'json://host'}}\nroutes: [{name: a, to: nobody}]\n")
    status, shown = check(service, {"AUDIT_ALERT_ROUTES": str(file)})
    assert status == 2
    assert "nobody" in shown
    file.write_text("targets: {chat: {url: 'json://host'}}\nroutes: [{name: a, to: chat}]\n")
    assert check(service, {"AUDIT_ALERT_ROUTES": str(file)})[0] == 0
    assert check(service, {"AUDIT_ALERT_ROUTES": str(tmp_path / "none.yml")})[0] == 2


def test_help_of_make_topics_tells_what_it_changes_in_topics_that_exist() -> None:
    shown = " ".join(CliRunner().invoke(main, ["serve", "--help"]).output.split())
    assert "give audit.records as many partitions as audit.events" in shown


def test_service_with_wrong_settings_does_not_start() -> None:
    done = CliRunner().invoke(main, ["serve", "sink"], env={"AUDIT_SINK_ROW_MAX": "1"})
    assert done.exit_code == 2
    assert "did you mean AUDIT_SINK_ROWS_MAX?" in done.output
