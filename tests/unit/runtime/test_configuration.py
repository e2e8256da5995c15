from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.configuration import check, gather, load
from runtime.settings import ALL, AlertSettings, KafkaSettings, SinkSettings, StoreSettings
from schemas.errors import Misconfigured


def test_defaults_are_right_and_every_setting_says_what_it_is() -> None:
    rows, problems = check(ALL, gather({}))
    assert problems == []
    assert [row.name for row in rows if not row.meaning] == []
    assert len({row.name for row in rows}) == len(rows)


def test_all_wrong_settings_are_told_at_once() -> None:
    given = gather({
        "AUDIT_SINK_ROWS_MAX": "0",
        "AUDIT_SINK_AGE_MS_MAX": "soon",
        "AUDIT_STORE_DSN": "mysql://root:hunter2@db",
    })  # fmt: skip
    _rows, problems = check(ALL, given)
    assert len(problems) == 3
    assert [problem.split(" ")[0] for problem in problems] == [
        "AUDIT_SINK_ROWS_MAX", "AUDIT_SINK_AGE_MS_MAX", "AUDIT_STORE_DSN",
    ]  # fmt: skip
    assert "hunter2" not in "".join(problems)
    assert "soon" not in "".join(problems)


def test_a_misspelt_name_is_reported_with_what_was_meant() -> None:
    _rows, problems = check([SinkSettings], gather({"AUDIT_SINK_ROW_MAX": "5"}))
    assert problems == [
        "AUDIT_SINK_ROW_MAX (environment): no such setting; did you mean AUDIT_SINK_ROWS_MAX?"
    ]


def test_a_name_of_another_service_is_no_mistake() -> None:
    assert check([SinkSettings], gather({"AUDIT_API_PORT": "7000", "PATH": "/"}))[1] == []


def test_secrets_are_hidden_in_what_is_printed() -> None:
    given = gather({
        "AUDIT_STORE_DSN": "clickhouse://u:hunter2@h:1/d",
        "AUDIT_ALERT_TARGETS": "slack://hunter2 json://hunter2",
    })  # fmt: skip
    rows, problems = check(ALL, given)
    assert problems == []
    assert "hunter2" not in str(rows)
    assert {row.value for row in rows if row.name == "AUDIT_ALERT_TARGETS"} == {"*** ***"}


def test_the_environment_wins_over_the_file_and_an_empty_variable_is_none(tmp_path: Path) -> None:
    file = tmp_path / "audit.toml"
    file.write_text('[sink]\nrows_max = 7\nage_ms_max = 70\n[alert]\ntargets = ["json://x"]\n')
    environment = {
        "AUDIT_CONFIG": str(file), "AUDIT_SINK_ROWS_MAX": "8", "AUDIT_SINK_AGE_MS_MAX": "",
    }  # fmt: skip
    given = gather(environment)
    sink = load(SinkSettings, given)
    assert (sink.rows_max, sink.age_ms_max) == (8, 70)
    assert [t.get_secret_value() for t in load(AlertSettings, given).targets] == ["json://x"]


def test_a_file_of_variables_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "audit.env"
    file.write_text("# mine\nAUDIT_SINK_ROWS_MAX=9\n")
    assert load(SinkSettings, gather({}, file)).rows_max == 9


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.toml", "[sink\n", "is not TOML"),
        ("a.toml", "rows_max = 1\n", "outside of a [section]"),
        ("a.toml", "[sink]\nrow_max = 1\n", "did you mean AUDIT_SINK_ROWS_MAX"),
        ("a.toml", "[sinc]\nrows_max = 1\n", "did you mean AUDIT_SINK_ROWS_MAX"),
    ],
)
def test_a_wrong_file_is_reported(tmp_path: Path, name: str, content: str, told: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    _rows, problems = check([SinkSettings], gather({}, file))
    assert len(problems) == 1
    assert told in problems[0]


def test_a_file_that_is_not_there_is_reported_by_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nope\.toml: can't be read: No such file"):
        load(SinkSettings, gather({}, tmp_path / "nope.toml"))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"AUDIT_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "sasl_username"),
        ({"AUDIT_KAFKA_SSL_KEY_FILE": "/k"}, "go together"),
        ({"AUDIT_KAFKA_BOOTSTRAP": "nowhere"}, "pattern"),
        ({"AUDIT_KAFKA_BOOTSTRAP": "a:1,b"}, "pattern"),
    ],
)
def test_kafka_settings_that_do_not_fit_together(environment: dict[str, str], told: str) -> None:
    with pytest.raises(Misconfigured, match=told):
        load(KafkaSettings, gather(environment))


@pytest.mark.parametrize(
    "environment",
    [
        {"AUDIT_SINK_SESSION_TIMEOUT_MS": "1000"},
        {"AUDIT_SINK_BACKOFF_INITIAL_MS": "60000"},
        {"AUDIT_SINK_BYTES_MAX": "100000000"},
    ],
)
def test_sink_settings_that_do_not_fit_together(environment: dict[str, str]) -> None:
    with pytest.raises(Misconfigured):
        load(SinkSettings, gather(environment))


def test_settings_are_frozen() -> None:
    settings = load(StoreSettings, gather({}))
    with pytest.raises(ValidationError):
        settings.database = "other"  # type: ignore[misc]
