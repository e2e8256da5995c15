"""What deploy/ promises, as far as it can be read without a Docker engine."""

import ast
import functools
import importlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import subprocess
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry

from console.auth import load_token
from runtime.broker_config import FIXED
from runtime.clickhouse import INSERT_SETTINGS
from runtime.configuration import OTHER_NAMES, check, gather
from runtime.settings import ALL, AlertSettings, ApiSettings, PipelineSettings, SinkSettings
from schemas.topics import RECORDS_MESSAGE_BYTES_MAX

ROOT: Final = Path(__file__).parent.parent.parent.parent
DEPLOY: Final = ROOT / "deploy"
PACKAGES: Final = (
    "schemas", "detections", "runtime", "producers", "pipeline", "consumers", "console", "cli",
)  # fmt: skip
SERVICES: Final = {"pipeline", "sink", "alerts", "api"}
ONE_SHOTS: Final = {"topics", "migrate"}
FOREIGN: Final = {"kafka", "clickhouse", "prometheus"}
HEALTH_PORTS: Final = {
    "pipeline": PipelineSettings().health_port,
    "sink": SinkSettings().health_port,
    "alerts": AlertSettings().health_port,
    "api": ApiSettings().health_port,
}
# The part of the compose specification that is used here: a misspelt key is an error in compose.
SERVICE_KEYS: Final = {
    "image", "build", "user", "init", "entrypoint", "command", "hostname", "environment",
    "volumes", "tmpfs", "networks", "ports", "secrets", "depends_on", "healthcheck", "deploy",
    "restart", "read_only", "cap_drop", "security_opt", "logging", "stop_grace_period", "ulimits",
}  # fmt: skip
# What `x or default` and `x or fail` look like in a compose file.
VARIABLE: Final = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")


def _interpolated(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _interpolated(item, given) for name, item in value.items()}
    if isinstance(value, list):
        return [_interpolated(item, given) for item in value]
    if not isinstance(value, str):
        return value

    def put(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if name in given:
            return given[name]
        assert operator == ":-", f"{name} is not given and has no default: {rest}"
        return str(rest)

    return VARIABLE.sub(put, value)


REQUIRED: Final = {
    "SERVICE_UID": "10001",
    "SERVICE_GID": "10001",
    "CLICKHOUSE_MIGRATOR_SHA256": "0" * 64,
    "CLICKHOUSE_WRITER_SHA256": "1" * 64,
    "CLICKHOUSE_API_SHA256": "2" * 64,
    "CLICKHOUSE_ANALYST_SHA256": "3" * 64,
}
COMPOSE_TEXT: Final = (DEPLOY / "compose.yml").read_text()
COMPOSE: Final = _interpolated(yaml.safe_load(COMPOSE_TEXT), REQUIRED)
EVERY_SERVICE: Final = sorted(COMPOSE["services"])
USERS: Final = ET.parse(DEPLOY / "clickhouse" / "users.xml").getroot()  # noqa: S314 - our own file
SERVER: Final = ET.parse(DEPLOY / "clickhouse" / "config.xml").getroot()  # noqa: S314
RULES: Final = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def _service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


# --- compose ------------------------------------------------------------------------------------


def test_compose_has_all_services_and_no_other() -> None:
    assert set(EVERY_SERVICE) == SERVICES | ONE_SHOTS | FOREIGN


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_compose_service_is_made_of_known_keys_and_declared_parts(name: str) -> None:
    service = _service(name)
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
    service = _service(name)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "pid", "network_mode", "devices"} & set(service)
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))
    user = service.get("user", "appuser")  # Kafka's image names its own
    assert user.split(":")[0] not in {"0", "root"}


@pytest.mark.parametrize("name", EVERY_SERVICE)
def test_compose_service_has_bounds(name: str) -> None:
    service = _service(name)
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
        name: _service(name)["ports"] for name in EVERY_SERVICE if "ports" in _service(name)
    }
    assert published == {
        "api": [f"127.0.0.1:{ApiSettings().port}:{ApiSettings().port}"],
        "prometheus": ["127.0.0.1:9090:9090"],
    }


def test_compose_keeps_kafka_and_clickhouse_on_a_network_without_a_way_out() -> None:
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert _service("kafka")["networks"] == ["data"]
    assert _service("clickhouse")["networks"] == ["data"]


def test_compose_pins_what_the_tests_ran_on() -> None:
    lock = (ROOT / "runtime" / "kafka.lock").read_text()
    kafka = re.search(r"^org\.apache\.kafka:kafka_2\.13:(\S+)", lock, re.MULTILINE)
    assert kafka
    assert _service("kafka")["image"] == f"apache/kafka:{kafka[1]}"
    engine = importlib.metadata.version("chdb-core").split(".")
    assert _service("clickhouse")["image"] == f"clickhouse/clickhouse-server:{'.'.join(engine[:2])}"
    for name in EVERY_SERVICE:
        _, tag = _service(name)["image"].rsplit(":", 1)
        assert re.search(r"\d+\.\d+", tag), "an image without a version changes by itself"


def test_compose_starts_things_in_the_order_in_which_they_can_work() -> None:
    done, healthy = (
        {"condition": "service_completed_successfully"},
        {"condition": "service_healthy"},
    )
    assert _service("topics")["depends_on"] == {"kafka": healthy}
    assert _service("migrate")["depends_on"] == {"clickhouse": healthy}
    assert _service("pipeline")["depends_on"] == {"topics": done}
    for name in ("sink", "alerts", "api"):
        assert _service(name)["depends_on"] == {"topics": done, "migrate": done}


@pytest.mark.parametrize("name", sorted(FOREIGN))
def test_compose_checks_the_health_of_what_is_not_ours(name: str) -> None:
    health = _service(name)["healthcheck"]
    assert health["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(health)


@pytest.mark.parametrize("name", sorted(SERVICES | ONE_SHOTS))
def test_compose_gives_only_settings_that_exist_with_values_that_they_take(name: str) -> None:
    service = _service(name)
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
    service = _service(name)
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


# --- image --------------------------------------------------------------------------------------


def _instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^\s*#.*\n", "", text))
    lines = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest) for word, rest in lines]


def test_image_is_built_from_locks_with_hashes_and_nothing_else() -> None:
    installs = [part for word, rest in _instructions() if word == "RUN"
                for part in rest.split("&&") if "pip install" in part]  # fmt: skip
    assert [re.sub(r"\s+", " ", part.split("install ")[1]).strip() for part in installs] == [
        "--require-hashes -r requirements-build.lock",
        "--require-hashes --no-build-isolation -r requirements.lock",
        "--no-deps --no-build-isolation .",
    ]
    assert not any(
        "apt" in rest or "curl" in rest for word, rest in _instructions() if word == "RUN"
    )


def test_image_has_two_stages_of_one_pinned_python_and_runs_as_nobody_special() -> None:
    steps = _instructions()
    assert [rest for word, rest in steps if word == "FROM"] == [
        "${PYTHON_IMAGE} AS build",
        "${PYTHON_IMAGE}",
    ]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.12\.\d+-slim-\w+", dict(steps)["ARG"])
    last = [word for word, _ in steps]
    assert dict(steps)["USER"] == "10001:10001"
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert json.loads(dict(steps)["ENTRYPOINT"]) == ["audit", "serve"]
    assert "/live.py" in dict(steps)["HEALTHCHECK"]


def test_image_gets_every_package_and_the_context_holds_no_more() -> None:
    copied = [
        source.rstrip("/")
        for word, rest in _instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert set(PACKAGES) <= set(copied)
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied)
    assert all((ROOT / source).exists() for source in copied)


def test_image_sets_only_settings_that_exist() -> None:
    environment = " ".join(rest for word, rest in _instructions() if word == "ENV")
    given = dict(item.split("=", 1) for item in environment.split() if item.startswith("AUDIT_"))
    assert {"AUDIT_API_HOST", "AUDIT_DATA_DIR"} < set(given)
    assert check(ALL, gather(given))[1] == []


@pytest.fixture
def live() -> ModuleType:
    spec = importlib.util.spec_from_file_location("live", DEPLOY / "live.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/live" and self.server.is_well else 503)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    served = HTTPServer(("127.0.0.1", 0), _Answer)
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.shutdown()
    thread.join()
    served.server_close()


@pytest.mark.parametrize(("is_well", "status"), [(True, 0), (False, 1)])
def test_live_says_what_the_service_says(
    live: ModuleType,
    server: HTTPServer,
    is_well: bool,  # noqa: FBT001 - a parameter of the test
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.is_well = is_well  # type: ignore[attr-defined]
    monkeypatch.setattr(live, "PORTS", (1, server.server_port))  # nothing listens on 1
    assert live.main() == status


def test_live_fails_when_nothing_listens(live: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PORTS", (1,))
    assert live.main() == 1


def test_live_asks_the_health_port_of_every_service(live: ModuleType) -> None:
    assert set(live.PORTS) == set(HEALTH_PORTS.values())


# --- Kafka and ClickHouse -----------------------------------------------------------------------


def test_kafka_keeps_the_promises_that_the_embedded_one_keeps() -> None:
    text = (DEPLOY / "kafka" / "server.properties").read_text()
    given = dict(line.split("=", 1) for line in text.splitlines() if line and line[0] != "#")
    same = {
        "process.roles", "auto.create.topics.enable", "unclean.leader.election.enable",
        "min.insync.replicas", "offsets.retention.minutes", "message.max.bytes",
        "replica.fetch.max.bytes", "offsets.topic.replication.factor",
    }  # fmt: skip
    assert {name: given[name] for name in same} == {name: FIXED[name] for name in same}
    assert int(given["message.max.bytes"]) > RECORDS_MESSAGE_BYTES_MAX
    assert not any("group.min.session" in name for name in given), "short ones are for one machine"
    environment = _service("sink")["environment"]
    assert given["advertised.listeners"] == f"PLAINTEXT://{environment['AUDIT_KAFKA_BOOTSTRAP']}"


def test_clickhouse_profile_of_whoever_inserts_says_what_the_sink_says() -> None:
    profile = USERS.find("profiles/audit_insert")
    assert profile is not None
    given = {element.tag: element.text for element in profile}
    assert given == {name: str(INSERT_SETTINGS[name]) for name in given}
    must = {"async_insert", "deduplicate_insert", "insert_deduplicate",
            "deduplicate_blocks_in_dependent_materialized_views",
            "max_partitions_per_insert_block"}  # fmt: skip
    assert must <= set(given)


def test_clickhouse_never_leaves_deduplication_and_fsync_to_a_default() -> None:
    given = {element.tag: int(element.text or 0) for element in SERVER.iterfind("merge_tree/*")}
    assert given["non_replicated_deduplication_window"] >= 10_000
    assert given["replicated_deduplication_window"] >= 10_000
    assert given["replicated_deduplication_window_seconds"] >= 7 * 86_400
    assert given["fsync_after_insert"] == given["fsync_part_directory"] == 1


def test_clickhouse_has_no_default_user_and_every_password_comes_hashed_from_outside() -> None:
    users = {user.tag: user for user in USERS.iterfind("users/*")}
    assert users.pop("default").get("remove") == "remove"
    variables = []
    for user in users.values():
        assert user.find("password") is None
        hashed = user.find("password_sha256_hex")
        assert hashed is not None
        assert hashed.text is None
        variables.append(hashed.get("from_env"))
        profile = user.findtext("profile")
        assert USERS.find(f"profiles/{profile}") is not None
    given = {name for name in _service("clickhouse")["environment"] if name.endswith("_SHA256")}
    assert sorted(map(str, variables)) == sorted(given)


def _privileges(user: str) -> dict[str, set[str]]:
    """Return for each object what a user may do to it, through its roles."""
    allowed: dict[str, set[str]] = {}
    for query in USERS.iterfind(f"users/{user}/grants/query"):
        roles = (query.text or "").removeprefix("GRANT ").split(", ")
        for role in roles:
            granted = USERS.findall(f"roles/{role}/grants/query")
            assert granted, f"no role {role}"
            for grant in granted:
                match = re.fullmatch(r"GRANT ([\w, ]+) ON ([\w.*]+)", grant.text or "")
                assert match
                allowed.setdefault(match[2], set()).update(match[1].split(", "))
    return allowed


SYSTEM_READS: Final = {"SELECT"}
CHANGES: Final = {  # rights that reach stored rows, and the groups that hold one
    "ALL", "ALTER", "ALTER TABLE", "ALTER UPDATE", "ALTER DELETE", "DELETE", "UPDATE", "TRUNCATE",
    "DROP", "DROP TABLE", "DROP DATABASE", "DROP VIEW", "ALTER COLUMN", "ALTER CLEAR COLUMN",
    "ALTER DROP COLUMN", "ALTER TTL", "ALTER MOVE PARTITION", "ALTER REPLACE PARTITION", "CREATE",
}  # fmt: skip


def test_clickhouse_lets_no_service_change_or_delete_what_is_stored() -> None:
    assert _privileges("audit_writer")["audit.*"] == {"SHOW", "SELECT", "INSERT"}
    assert _privileges("audit_api")["audit.*"] == {"SHOW", "SELECT"}
    assert _privileges("audit_api")["audit.events"] == {"INSERT"}
    assert _privileges("audit_analyst")["audit.*"] == {"SHOW", "SELECT"}
    assert "INSERT" not in _privileges("audit_migrator")["audit.*"]
    for user in ("audit_migrator", "audit_writer", "audit_api", "audit_analyst"):
        for what, privileges in _privileges(user).items():
            assert not CHANGES & privileges
            if not what.startswith("audit."):
                assert what.startswith("system."), what
                assert privileges == SYSTEM_READS


def test_clickhouse_analyst_reads_within_bounds_that_cannot_be_lifted() -> None:
    profile = USERS.find("profiles/audit_analyst")
    assert profile is not None
    assert profile.findtext("readonly") == "2"
    for name in ("max_execution_time", "max_memory_usage", "max_result_rows"):
        most = profile.findtext(f"constraints/{name}/max")
        least = profile.findtext(f"constraints/{name}/min")
        assert most == profile.findtext(name)
        assert least == "1", "0 means without bound"
    assert USERS.find("quotas/audit_analyst/keyed") is not None


# --- Prometheus ---------------------------------------------------------------------------------


def test_prometheus_scrapes_every_service_where_it_answers() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == SERVICES | {"clickhouse", "prometheus"}
    for name, port in HEALTH_PORTS.items():
        (found,) = jobs[name]["dns_sd_configs"]
        assert (found["names"], found["type"], found["port"]) == ([name], "A", port)
        assert set(_service(name)["networks"]) & set(_service("prometheus")["networks"])
    (target,) = jobs["clickhouse"]["static_configs"]
    assert target["targets"] == [f"clickhouse:{SERVER.findtext('prometheus/port')}"]
    assert config["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "cure"}
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


SUFFIXES: Final = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
    "info": ("_info",),
}


def _sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield name and tree of each module that has to do with metrics."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text()
            if "prometheus_client" in text:
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                yield module, ast.parse(text)


def _families() -> Iterator[tuple[str, str]]:
    """Yield type and name of each family that a collector of ours makes when it is asked."""
    for _, tree in _sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                kind, is_family = node.func.id.lower(), node.func.id.endswith("MetricFamily")
                if is_family and isinstance(node.args[0], ast.Constant):
                    yield kind.removesuffix("metricfamily"), str(node.args[0].value)


def _metric_classes() -> Iterator[tuple[str, str]]:
    """Yield module and class of each class that is made from a registry alone."""
    for module, tree in _sources():
        for node in ast.walk(tree):
            for function in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(function, ast.FunctionDef) and function.name == "__init__":
                    names = [argument.arg for argument in function.args.args]
                    if names == ["self", "registry"] and not function.args.kwonlyargs:
                        assert isinstance(node, ast.ClassDef)
                        yield module, node.name


@functools.cache
def exported() -> frozenset[str]:
    """Return the name of every series that the services make, by making their metrics."""
    found = {name + suffix for kind, name in _families() for suffix in SUFFIXES[kind]}
    for module, name in _metric_classes():
        registry = CollectorRegistry()
        kept = getattr(importlib.import_module(module), name)(registry)
        assert kept
        for family in registry.collect():
            found.update(family.name + suffix for suffix in SUFFIXES[family.type])
    return frozenset(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_looks_at_metrics_that_the_code_exports(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\baudit_\w+", rule["expr"]))
    assert named or "up{" in rule["expr"] or "up ==" in rule["expr"]
    assert named <= exported()


def test_alerts_are_accepted_by_promtool() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip(
            "promtool is not on this machine: deploy/README.md says what it found where it was"
        )
    for arguments in (
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ):
        done = subprocess.run(
            [promtool, *arguments],
            cwd=DEPLOY / "prometheus",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
