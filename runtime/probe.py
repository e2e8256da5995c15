"""Asks a service on this machine whether it is ready, with nothing but a socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

TIMEOUT_S: Final = 2.0
BODY_BYTES_MAX: Final = 65_536


def ready_probe(host: str, port: int, path: str = "/ready") -> Callable[[], Awaitable[bool]]:
    """Return a question for `runtime.supervisor.CommandSpec.is_ready`."""

    async def is_ready() -> bool:
        status, _body = await get(host, port, path)
        return status == HTTPStatus.OK

    return is_ready


async def missing(host: str, port: int, path: str = "/ready") -> list[str]:
    """Return what a service says it lacks, a line each; empty when it is ready or silent."""
    _status, body = await get(host, port, path)
    try:
        told: Any = json.loads(body)
        return [f"{item['condition']}: {item['missing']}" for item in told["missing"]]
    except (ValueError, KeyError, TypeError):
        return []


async def get(host: str, port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of a GET; (0, b"") when there is no whole answer in time."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
                )
                await writer.drain()
                answer = await reader.read(BODY_BYTES_MAX)
                while chunk := await reader.read(BODY_BYTES_MAX):
                    answer = (answer + chunk)[:BODY_BYTES_MAX]
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body
