"""The commands that prove and check: ledger and doctor."""

import asyncio
import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from cli.context import (
    EXIT_DIFFERENCE,
    EXIT_UNAVAILABLE,
    api_options,
    ends_well,
    json_option,
    open_client,
)
from cli.terminal import Column, err, out, print_json, print_table, visible
from runtime.ports import LOOPBACK
from runtime.probe import TIMEOUT_S, get, missing
from schemas.errors import Unavailable

LEDGER_TABLE: Final = {
    "partition": Column("PARTITION"),
    "received": Column("RECEIVED"),
    "stored": Column("STORED"),
    "quarantined": Column("QUARANTINED"),
    "difference": Column("DIFFERENCE"),
    "lag": Column("LAG"),
}
# What `audit up` runs: the name of its port, what it is, its log. Kafka has no /ready.
KAFKA: Final = "kafka"
PARTS: Final = (
    (KAFKA, "Kafka", "kafka/logs"),
    ("pipeline-health", "pipeline", "logs/pipeline.log"),
    ("store-health", "store and API", "logs/store.log"),
)


@click.command()
@api_options
@json_option
@ends_well
def ledger(*, data: Path, api: str | None, token_file: Path | None, as_json: bool) -> None:
    """Prove that received = stored + quarantined + lag; exit status 3 if it is not so."""
    client = open_client(data, api, token_file)
    try:
        found = client.get("/ledger")
    except Unavailable as error:
        _say_what_is_down(error, data, api, as_json=False)
    if as_json:
        print_json(found)
    else:
        rows = [*found["partitions"], found | {"partition": "all"}]
        print_table(rows, LEDGER_TABLE)
    if found["difference"]:
        err.print(
            "The ledger does not balance: see docs/operations.md, 'a difference'.", style="red"
        )
        sys.exit(EXIT_DIFFERENCE)


@click.command()
@api_options
@json_option
@ends_well
def doctor(*, data: Path, api: str | None, token_file: Path | None, as_json: bool) -> None:
    """Check each part: is it there, the right version, the right settings; exit 1 if not.

    Where the API does not answer, the parts that `audit up` runs are asked one by one.
    """
    client = open_client(data, api, token_file)
    try:
        found = client.get("/doctor")
    except Unavailable as error:
        _say_what_is_down(error, data, api, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        _print_checks(found["checks"])
    if not found["ok"]:
        sys.exit(EXIT_UNAVAILABLE)


def _print_checks(checks: list[dict[str, Any]], *, is_error: bool = False) -> None:
    console = err if is_error else out
    for check in checks:
        mark, style = _mark(check)
        console.print(mark, end="  ", style=style, soft_wrap=True)
        told = visible(f"{check['name']}: {check['found']}")
        console.print(told, markup=False, soft_wrap=True)
        if not check["ok"]:
            for name in ("want", "cure"):
                told = visible(f"      {name}: {check.get(name)}")
                console.print(told, markup=False, soft_wrap=True)


def _mark(check: Mapping[str, Any]) -> tuple[str, str]:
    if not check["ok"]:
        return "FAIL", "red"
    return ("note", "yellow") if check.get("note") else ("ok  ", "green")


def _say_what_is_down(
    error: Unavailable, data: Path, api: str | None, *, as_json: bool
) -> NoReturn:
    """Ask the parts of the data folder one by one; print which is down; exit 1.

    Raises the error itself where the API is not that of `audit up`.
    """
    ports = _ports(data)
    if api is not None or not ports:
        raise error
    checks = asyncio.run(_ask_parts(ports, data))
    if as_json:
        print_json({"ok": False, "checks": checks})
    else:
        _print_checks(checks, is_error=True)
    down = [check for check in checks if not check["ok"]]
    if len(down) == len(checks):
        raise Unavailable(
            f"nothing runs in {data}: start it with `audit up --data {data}`"
        ) from error
    raise error


def _ports(data: Path) -> dict[str, int]:
    try:
        found = json.loads((data / "ports.json").read_text())
        return {name: int(found[name]) for name, _what, _log in PARTS}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


async def _ask_parts(ports: Mapping[str, int], data: Path) -> list[dict[str, Any]]:
    return list(
        await asyncio.gather(
            *(_ask(name, what, ports[name], data / log) for name, what, log in PARTS)
        )
    )


async def _ask(name: str, what: str, port: int, log: Path) -> dict[str, Any]:
    if name == KAFKA:
        is_ok = await _listens(port)
        found = "listens" if is_ok else "nothing listens"
    else:
        status, _body = await get(LOOPBACK, port, "/ready")
        is_ok = status == HTTPStatus.OK
        found = "ready" if is_ok else "not ready" if status else "no answer"
        if status and not is_ok:
            found += "".join(f"; {lack}" for lack in await missing(LOOPBACK, port))
    return {
        "name": what,
        "ok": is_ok,
        "found": f"{found} on port {port}",
        "want": f"an answer on {LOOPBACK}:{port}",
        "cure": None if is_ok else f"see {log}; stop `audit up` and start it again",
    }


async def _listens(port: int) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
