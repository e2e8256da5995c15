"""The files of deploy/ as the tests read them, and what they must agree with."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from runtime.settings import AlertSettings, ApiSettings, PipelineSettings, SinkSettings

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

# What `x or default` and `x or fail` look like in a compose file.
VARIABLE: Final = re.compile(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}")


def interpolated(value: Any, given: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: interpolated(item, given) for name, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item, given) for item in value]
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
COMPOSE: Final = interpolated(yaml.safe_load(COMPOSE_TEXT), REQUIRED)
EVERY_SERVICE: Final = sorted(COMPOSE["services"])
USERS: Final = ET.parse(DEPLOY / "clickhouse" / "users.xml").getroot()  # noqa: S314 - our own file
SERVER: Final = ET.parse(DEPLOY / "clickhouse" / "config.xml").getroot()  # noqa: S314


def service_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found
