"""The REST API as the commands see it: one address, one token, errors in plain words."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from cli.operator import login
from schemas.errors import Misconfigured, Unavailable

PAGE_ROWS_MAX: Final = 10_000  # what the API gives at most in one page
OPERATOR: Final = "X-Audit-Operator"  # who runs the command: told, not proven
READ_TIMEOUT_S: Final = 120.0  # above the API's own bound on a query

Params = Mapping[str, str | int | None]
Json = Any  # as the API's description has it; the commands trust it


class Refused(Exception):
    """The API said no, with that HTTP status; the message names the field and the cure.

    `place` is where in a query the fault is: its first character, and how many.
    """

    def __init__(self, message: str, status: int, place: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.place = place


class Client:
    """Calls under /v1. Raises `Unavailable`, `Misconfigured` or `Refused`, each in one line."""

    def __init__(self, base_url: str, token_file: Path, timeout_s: float = READ_TIMEOUT_S) -> None:
        try:
            token = token_file.read_text().strip()
        except FileNotFoundError as error:
            raise Misconfigured(
                f"no token at {token_file}: start the service (`audit up`), or name its data"
                " folder with --data or AUDIT_DATA_DIR"
            ) from error
        except OSError as error:
            raise Misconfigured(f"token file {token_file}: {error.strerror}") from error
        self._base_url = base_url
        self._http = httpx.Client(
            base_url=f"{base_url}/v1",
            headers={"Authorization": f"Bearer {token}", OPERATOR: _header(login())},
            timeout=httpx.Timeout(timeout_s, connect=min(5.0, timeout_s)),
            trust_env=False,  # a proxy must not see the token of a service on this machine
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, params: Params | None = None) -> Json:
        """Return the JSON answer to a GET; parameters that are None are left out."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """Return the JSON answer to a POST."""
        return self._call("POST", path, body=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Json:
        """Return the JSON answer to a PATCH."""
        return self._call("PATCH", path, body=body)

    def delete(self, path: str) -> None:
        """Take something away."""
        self._ask("DELETE", path)

    def post_for_rows(self, path: str, body: Mapping[str, Any]) -> Json:
        """Return the JSON answer to a POST for many rows, read fast: integers up to 64 bits."""
        return orjson.loads(self._ask("POST", path, body=body).content)

    def get_bytes(self, path: str) -> bytes:
        """Return the answer to a GET as it is: for what is hashed."""
        return self._ask("GET", path).content

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[bool, Iterator[bytes]]]:
        """Give the answer to a GET block by block, and whether it is only the part asked for."""
        try:
            with self._http.stream("GET", path, headers=dict(headers)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise Refused(_problem(answer), answer.status_code)
                yield answer.status_code == HTTPStatus.PARTIAL_CONTENT, answer.iter_raw()
        except httpx.HTTPError as error:
            raise Unavailable(f"the answer of {self._base_url} broke off") from error

    def pages(self, path: str, key: str, params: Params, limit: int) -> Iterator[dict[str, Any]]:
        """Yield up to `limit` rows of `key`, following the cursor from page to page."""
        left, cursor = limit, None
        while left > 0:
            page = self.get(path, {**params, "limit": min(left, PAGE_ROWS_MAX), "cursor": cursor})
            yield from page[key]
            left -= len(page[key])
            cursor = page.get("next")
            if cursor is None or not page[key]:
                return

    def _call(
        self, method: str, path: str, params: Params | None = None, body: object = None
    ) -> Json:
        return self._ask(method, path, params, body).json()

    def _ask(
        self, method: str, path: str, params: Params | None = None, body: object = None
    ) -> httpx.Response:
        given = {k: v for k, v in (params or {}).items() if v is not None}
        try:
            answer = self._http.request(method, path, params=given, json=body)
        except httpx.TimeoutException as error:
            raise Unavailable(
                f"the API at {self._base_url} gave no answer in time: narrow the time range, or"
                " ask `audit doctor`"
            ) from error
        except httpx.HTTPError as error:
            raise Unavailable(
                f"no API answers at {self._base_url}: is it running? `audit up` starts it"
            ) from error
        if answer.is_success:
            return answer
        raise Refused(_problem(answer), answer.status_code, _place(answer))


def _header(text: str) -> str:
    """Return what of a text a header can hold."""
    return text.encode("ascii", "replace").decode()


def _problem(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        field, said = problem.get("field"), str(problem.get("detail") or problem.get("title"))
        is_pointed = problem.get("position") is not None  # the caller shows where
        if field and not is_pointed and not re.match(rf"{re.escape(field)}\b", said):
            said = f"{field}: {said}"
        cure = problem.get("cure")
    except (json.JSONDecodeError, AttributeError):
        said, cure = f"HTTP {answer.status_code}", None
    return f"{said}. {cure}" if cure else said


def _place(answer: httpx.Response) -> tuple[int, int] | None:
    try:
        problem = answer.json()
        return int(problem["position"]), int(problem["length"])
    except (json.JSONDecodeError, TypeError, ValueError, KeyError):
        return None
