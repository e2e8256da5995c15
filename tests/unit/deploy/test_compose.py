"""What compose.yml promises, as far as it can be read without a Docker engine."""

import importlib
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from console.web.auth import load_token
from runtime.configuration import OTHER_NAMES, check, gather
from runtime.settings import ALL, ApiSettings
from tests.unit.deploy.files import (
    COMPOSE,
    COMPOSE_TEXT,
    DEPLOY,
    EVERY_SERVICE,
    FOREIGN,
    ONE_SHOTS,
    REQUIRED,
    ROOT,
    SERVICES,
    VARIABLE,
    service_of,
)

# The part of the compose specification that is used here: a misspelt key is an error in compose.
SERVICE_KEYS: Final = {
    "image", "build", "user", "init", "entrypoint", "command", "hostname", "environment",
    "volumes", "tmpfs", "networks", "ports", "secrets", "depends_on", "healthcheck", "deploy",
    "restart", "read_only", "cap_drop", "security_opt", "logging", "stop_grace_period", "ulimits",
}  # fmt: skip


def test_compose_has_all_services_and_no_other() -> None:
    assert set(EVERY_SERVICE) == SERVICES | ONE_SHOTS | FOREIGN


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_compose_service_is_made_of_known_keys_and_declared_parts(name: str) -> None:
    service = service_of(name)
    assert set(service) <= SERVICE_KEYS
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert set(service.get("depends_on", ())) <= set(EVERY_SERVICE)
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        assert target.startswith("/")
        if source.startswith("."):
            assert (DEPLOY / source).is_file()
            assert mode == ["ro"], "a file of the repository is only read"
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_compose_service_can_do_no_more_than_it_must(name: str) -> None:
    service = service_of(name)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "network_mode", "devices"} & set(service)
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))
    user = service.get("user", "appuser")  # Kafka's image names its own
    assert user.split(":")[0] not in {"0", "root"}


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_compose_service_has_bounds(name: str) -> None:
    service = service_of(name)
    limits = service["deploy"]["resources"]["limits"]
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert limits["pids"] > 0
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert re.fullmatch(r"\d+s", service["stop_grace_period"])
    assert all("size=" in mount for mount in service.get("tmpfs", ()))
    assert name not in ONE_SHOTS or service["restart"].startswith("on-failure:")


def test_compose_publishes_api_and_prometheus_only_and_on_loopback_only() -> None:
    published = {
        name: service_of(name)["ports"] for name in EVERY_SERVICE if "ports" in service_of(name)
    }
    assert published == {
        "api": [f"127.0.0.1:{ApiSettings().port}:{ApiSettings().port}"],
        "prometheus": ["127.0.0.1:9090:9090"],
    }


def test_compose_keeps_kafka_and_clickhouse_on_a_network_without_a_way_out() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert service_of("kafka")["networks"] == ["data"]
    assert service_of("clickhouse")["networks"] == ["data"]


def test_compose_pins_what_the_tests_ran_on() -> None:
    lock = (ROOT / "runtime" / "kafka.lock").read_text()
    kafka = re.search(r"^org\.apache\.kafka:kafka_2\.13:(\S+)", lock, re.MULTILINE)
    assert kafka
    assert service_of("kafka")["image"] == f"apache/kafka:{kafka[1]}"
    engine = importlib.metadata.version("chdb-core").split(".")
    assert (
        service_of("clickhouse")["image"] == f"clickhouse/clickhouse-server:{'.'.join(engine[:2])}"
    )
    for name in EVERY_SERVICE:
        _, tag = service_of(name)["image"].rsplit(":", 1)
        assert re.search(r"\d+\.\d+", tag), "an image without a version changes by itself"


def test_compose_starts_things_in_the_order_in_which_they_can_work() -> None:
    done, healthy = (
        {"condition": "service_completed_successfully"},
        {"condition": "service_healthy"},
    )
    assert service_of("topics")["depends_on"] == {"kafka": healthy}
    assert service_of("migrate")["depends_on"] == {"clickhouse": healthy}
    assert service_of("pipeline")["depends_on"] == {"topics": done}
    for name in ("sink", "alerts", "api"):
        assert service_of(name)["depends_on"] == {"topics": done, "migrate": done}


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_compose_checks_the_health_of_what_is_not_ours(name: str) -> None:
    health = service_of(name)["healthcheck"]
    assert health["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(health)


@pytest.mark.parametrize("name", sorted(SERVICES | ONE_SHOTS))
def test_compose_gives_only_settings_that_exist_with_values_that_they_take(name: str) -> None:
    service = service_of(name)
    environment = service["environment"]
    assert all(isinstance(value, str) for value in environment.values()), "quote numbers"
    ours = {key: value for key, value in environment.items() if key not in OTHER_NAMES}
    rows, problems = check(ALL, gather(ours))
    assert problems == []
    known = {row.name for row in rows} | OTHER_NAMES
    assert set(re.findall(r"\bAUDIT_\w+", COMPOSE_TEXT)) <= known
    if "AUDIT_CONFIG" in environment:
        assert environment["AUDIT_CONFIG"].removeprefix("/run/secrets/") in service["secrets"]


@pytest.mark.parametrize("name", sorted(SERVICES | ONE_SHOTS))
def test_compose_runs_the_command_of_the_service(name: str) -> None:
    service = service_of(name)
    assert service["command"] == [name]
    assert service.get("entrypoint") == (["audit"] if name in ONE_SHOTS else None)
    assert service.get("healthcheck") == ({"disable": True} if name in ONE_SHOTS else None)


def test_compose_holds_no_secret_and_no_default_for_one() -> None:
    for name, operator, rest in VARIABLE.findall(COMPOSE_TEXT):
        if name in REQUIRED:
            assert (operator, rest) == (":?", "run deploy/prepare.sh first")
        else:
            assert not re.search(r"PASSWORD|SECRET|TOKEN|SHA256|DSN", name)
    assert not re.search(r"clickhouse://|DSN|PASSWORD", COMPOSE_TEXT)
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


def test_compose_is_accepted_by_docker_compose(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    version = [docker or "", "compose", "version"]
    if docker is None or subprocess.run(version, capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not on this machine: only the checks above were run")
    (tmp_path / ".env").write_text("".join(f"{k}={v}\n" for k, v in REQUIRED.items()))
    done = subprocess.run(
        [docker, "compose", "-f", DEPLOY / "compose.yml", "--env-file", tmp_path / ".env",
         "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_prepare_makes_every_secret_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "prepare.sh", tmp_path)
    (tmp_path / "secrets").mkdir()
    subprocess.run(["sh", tmp_path / "prepare.sh"], check=True, capture_output=True)  # noqa: S607
    made = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    given = dict(line.split("=", 1) for line in made[tmp_path / ".env"].splitlines())
    assert set(given) == set(REQUIRED)
    assert given["SERVICE_UID"] != "0"
    for name, secret in COMPOSE["secrets"].items():
        path = tmp_path / secret["file"]
        assert path.stat().st_mode & 0o777 == 0o600, name
        if name.endswith(".env"):
            _, problems = check(ALL, gather({}, path))
            assert problems == []
    assert load_token(tmp_path / "secrets" / "api_token")
    shas = [value for name, value in given.items() if name.endswith("SHA256")]
    assert len(set(shas)) == len(shas), "each user has a password of its own"
    subprocess.run(["sh", tmp_path / "prepare.sh"], check=True, capture_output=True)  # noqa: S607
    assert made == {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
