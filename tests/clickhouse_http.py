"""A small server that puts chDB behind ClickHouse's HTTP interface, and breaks on command.

Runs as a process of its own: `python -m tests.clickhouse_http FOLDER`, prints its port. Faults are
posted to /fault as JSON {"kind", "match", "count", "delay_s"} and hit the next `count` statements
that contain `match`:
  refuse       503 before anything is done
  too_many     error 252, too many parts, before anything is done
  reset        the connection is cut before anything is done
  lost_reply   done, then the connection is cut
  lost_500     done, then 500
  slow         done, answered after delay_s
  late         held for delay_s, then done
"""

import json
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import chdb

TRANSPORT = {
    "query", "database", "user", "password", "session_id", "query_id", "compress", "decompress",
    "wait_end_of_query", "client_protocol_version", "enable_http_compression", "role",
    "send_progress_in_http_headers", "http_headers_progress_interval_ms", "buffer_size",
    "cancel_http_readonly_queries_on_client_close",
}  # fmt: skip
_INSERT = re.compile(r"^\s*INSERT INTO .* FORMAT (\w+)\s*$", re.IGNORECASE | re.DOTALL)
_EMBEDDED = re.compile(rb"\s*INSERT INTO [^\n]* FORMAT JSONEachRow\s*\n", re.IGNORECASE)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)


@dataclass
class Fault:
    """One thing to break, `count` times."""

    kind: str
    match: str = "INSERT"
    count: int = 1
    delay_s: float = 0.0


class Engine:
    """chDB, one connection a thread."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._local = threading.local()

    def run(
        self, sql: str, database: str, settings: dict[str, str], params: dict[str, str]
    ) -> bytes:
        """Run one statement as ClickHouse would for one request."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = chdb.connect(self._folder)
        if database:
            connection.query(f"USE `{database}`", "TabSeparated")
        clause = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())
        changes_schema = re.match(
            r"\s*(CREATE|ALTER|DROP|OPTIMIZE|TRUNCATE|SYSTEM)", sql, re.IGNORECASE
        )
        if clause and not changes_schema:
            named = _FORMAT.search(sql)
            head, tail = (sql[: named.start()], sql[named.start() :]) if named else (sql, "")
            sql = f"{head} SETTINGS {clause} {tail}"
        return bytes(connection.query(sql, "TabSeparated", params=params).bytes() or b"")


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Server(ThreadingHTTPServer):
    """Holds the engine and what is to be broken."""

    daemon_threads = True

    def __init__(self, folder: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine = Engine(folder)
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.statements: list[str] = []

    def next_fault(self, sql: str) -> Fault | None:
        """Take the first fault that this statement meets."""
        with self.lock:
            for fault in self.faults:
                if fault.match in sql and fault.count > 0:
                    fault.count -= 1
                    return fault
        return None


class Handler(BaseHTTPRequestHandler):
    """One request: a statement, or a fault to come."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        """Answer pings and queries in the address."""
        self.do_POST()

    def do_POST(self) -> None:  # noqa: C901 - one branch a fault
        """Run the statement, broken as commanded."""
        address = urlsplit(self.path)
        given = {
            name: values[-1]
            for name, values in parse_qs(address.query, keep_blank_values=True).items()
        }
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if address.path == "/fault":
            with self.server.lock:
                self.server.faults = [Fault(**fault) for fault in json.loads(data)]
            self._answer(200, b"")
            return
        if address.path == "/ping":
            self._answer(200, b"Ok.\n")
            return
        sql, body = given.get("query", ""), data
        if not sql:
            embedded = _EMBEDDED.match(data)
            cut = embedded.end() if embedded else len(data)
            sql, body = data[:cut].decode(), data[cut:]
        fault = self.server.next_fault(sql)
        kind = fault.kind if fault else ""
        delay_s = fault.delay_s if fault else 0.0
        if kind == "refuse":
            self._answer(503, b"busy")
            return
        if kind == "too_many":
            text = b"Code: 252. DB::Exception: Too many parts (3000). (TOO_MANY_PARTS)"
            self._answer(500, text, {"X-ClickHouse-Exception-Code": "252"})
            return
        if kind == "reset":
            self._cut()
            return
        if kind == "late":
            time.sleep(delay_s)
        status, answer, headers = self._run(sql, body, given)
        if kind == "lost_reply":
            self._cut()
        elif kind == "lost_500":
            self._answer(500, b"gone")
        else:
            if kind == "slow":
                time.sleep(delay_s)
            self._answer(status, answer, headers)

    def _run(
        self, sql: str, body: bytes, given: dict[str, str]
    ) -> tuple[int, bytes, dict[str, str]]:
        params = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
        settings = {
            name: value
            for name, value in given.items()
            if name not in TRANSPORT and not name.startswith("param_")
        }
        database = given.get("database", "")
        try:
            if body and _INSERT.match(sql):
                answer = self._insert(sql, body, database, settings)
            else:
                answer = self.server.engine.run(sql, database, settings, params)
        except Exception as error:  # noqa: BLE001 - whatever the engine says is the answer
            text = str(error)
            code = re.search(r"Code: (\d+)", text)
            headers = {"X-ClickHouse-Exception-Code": code.group(1)} if code else {}
            return 500, text[text.find("Code: ") :].encode(), headers
        named = _FORMAT.search(sql)
        headers = {"X-ClickHouse-Timezone": "UTC"}
        if answer:
            headers["X-ClickHouse-Format"] = named.group(1) if named else "TabSeparated"
        return 200, answer, headers

    def _insert(self, sql: str, body: bytes, database: str, settings: dict[str, str]) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".body") as file:
            file.write(body)
            file.flush()
            at = sql.upper().rindex(" FORMAT ")
            source = f"{sql[:at]} FROM INFILE '{file.name}' {sql[at:]}"
            return self.server.engine.run(source, database, settings, {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def _cut(self) -> None:
        linger = struct.pack("ii", 1, 0)  # no farewell: the client sees a reset
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True


class ClickHouseProcess:
    """The server as a child of the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.clickhouse_http", str(self._folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        assert self._child.stdout is not None
        self.port = int(self._child.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    @property
    def dsn(self) -> str:
        """Where it is, with a password that no message may show."""
        return f"clickhouse://default:not-to-be-shown@127.0.0.1:{self.port}/audit"

    def break_next(self, *faults: Fault) -> None:
        """Set what is broken from now on; without faults nothing is."""
        body = json.dumps([fault.__dict__ for fault in faults]).encode()
        address = f"http://127.0.0.1:{self.port}/fault"
        with urllib.request.urlopen(urllib.request.Request(address, body), timeout=10):
            return


def main() -> None:
    """Serve until killed."""
    server = Server(sys.argv[1])
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
