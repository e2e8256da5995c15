"""What the image is made of, and its health check."""

import importlib
import importlib.metadata
import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType

import pytest

from runtime.configuration import check, gather
from runtime.settings import ALL
from tests.unit.deploy.files import DEPLOY, HEALTH_PORTS, PACKAGES, ROOT


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
