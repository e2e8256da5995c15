"""The whole description tried on a real server by schemathesis: what it promises, it does."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import SecretStr

from cli.alert_desk import change_writer
from cli.sql_service import sql_desk
from console.ports import Ports
from console.web.described import FAULTS, PROBLEM_JSON
from console.web.service import ApiService, run_api
from runtime.clickhouse import Store
from runtime.settings import StoreSettings
from tests.integration.api.stored import TOKEN, ledger, replay

SEED: Final = 20_261_123
EXAMPLES: Final = 20  # an operation; with those of the coverage phase some thousands in all
REQUEST_S: Final = 20
LINE_MAX: Final = 300  # of what it says of requests that are kilobytes long
COMMAND: Final = (sys.executable, "-m", "schemathesis.cli")
# Beyond what a schema can say lie a cursor that is one of ours, a query's language, and parameters
# that exclude each other: what it allows may be answered with 400. What it forbids may be so large
# that its form is never looked at: 413.
CONFIG: Final = f"""
[headers]
Authorization = "Bearer {TOKEN}"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 401, 403, 404, 409, 429]
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx"]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 413, 429]
"""


@asynccontextmanager
async def served(store: Store, folder: Path) -> AsyncIterator[str]:
    """Serve the whole of it, as `audit serve api` does: people, exports and statements too."""
    token_file = folder / "token"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    stop, up = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with sql_desk(StoreSettings(dsn=SecretStr(store.name)), store) as desk:
        service = ApiService(
            store,
            Ports(ledger, replay, change=change_writer(store), sql=desk),
            token_file,
            folder / "console.sqlite3",
            told=up.set_result,
        )
        running = asyncio.create_task(run_api(service, stop))
        try:
            yield await up
        finally:
            stop.set()
            await running


async def schemathesis(*words: str, cwd: Path) -> tuple[int, str]:
    """Run it; return its status and what it said."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *words, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    shown = (line[:LINE_MAX] for line in said.decode(errors="replace").splitlines())
    return process.returncode, "\n".join(shown)


@pytest.mark.timeout(600)
async def test_description_holds_for_whatever_it_allows_and_forbids(
    store: Store, tmp_path: Path
) -> None:
    async with served(store, tmp_path) as url:
        config = tmp_path / "schemathesis.toml"
        config.write_text(CONFIG)
        status, said = await schemathesis(
            *("--config-file", str(config), "run", f"{url}/openapi.json"),
            *("--phases", "examples,coverage,fuzzing"),
            *("--checks", "all"),
            *("--max-examples", str(EXAMPLES), "--seed", str(SEED), "--continue-on-failure"),
            *("--request-timeout", str(REQUEST_S), "--no-color", "--generation-database", "none"),
            cwd=tmp_path,
        )
    assert status == 0, said


async def test_description_is_openapi_3_1(ask: Any) -> None:
    answer = await ask().get("/openapi.json")
    assert answer.status_code == 200
    described = json.loads(answer.content)
    assert described["openapi"].startswith("3.1.")
    assert "/v1/events" in described["paths"]


async def test_every_error_is_described_as_a_problem(ask: Any) -> None:
    described = (await ask().get("/openapi.json")).json()
    for path in described["paths"].values():
        for operation in path.values():
            faults = {k: v for k, v in operation["responses"].items() if not k.startswith("2")}
            assert set(faults) == {str(status) for status in FAULTS}
            assert all(set(fault["content"]) == {PROBLEM_JSON} for fault in faults.values())


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        pytest.param("/v1/events", "GET", id="read"),
        pytest.param("/v1/scan", "POST", id="written"),
        pytest.param("/v1/people", "GET, POST", id="both"),
    ],
)
async def test_wrong_method_is_told_the_right_ones(ask: Any, path: str, allow: str) -> None:
    answer = await ask().put(path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow
    assert answer.headers["content-type"] == PROBLEM_JSON


async def test_body_of_another_kind_is_refused(ask: Any) -> None:
    sent = {"content-type": "application/x-www-form-urlencoded"}
    answer = await ask().post("/v1/scan", content=b"from_ms=0&to_ms=1", headers=sent)
    assert answer.status_code == 400
    assert answer.json()["cure"]
