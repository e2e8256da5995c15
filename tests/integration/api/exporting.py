"""A store for the tests of exports: uneven, hostile, with a ledger; and the office that exports."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from console.access import Principal
from console.export.desk import Desk, ExportLimits
from console.export.making import Threads
from console.export.worker import Worker
from console.ports import Ports, Read
from console.search.reading import Reader
from console.search.rendering import EVENT_SELECT
from console.state import State
from console.web.api import Api, build_api
from console.web.auth import ServiceToken
from console.web.problems import Refused
from console.web.service import is_too_broad
from consumers.migrate import migrate
from runtime.clickhouse import Store
from schemas.canary import CANARY
from schemas.console_mark import READ
from schemas.tables import BATCHES, EVENTS
from tests.integration.api.stored import (
    INCARNATION,
    NOW_MS,
    TOKEN,
    event,
    ledger,
    line,
    put,
    replay,
    special_events,
)

OTHER = "an-older-incarnation00"
END = 5_000
TENANT = "acme"
EXPORTED = (
    "offset < 5000 AND replayed = 0 AND NOT has(flags, 'canary') AND action NOT LIKE 'audit.%'"
    " OR replayed = 1"
)
FORMULAS = (
    *("=1+1", "+1", "-1", "@x", "\tx", "\rx", "=cmd|' /C calc'!A0"),
    *("\n=1+1", " =1", "  @x", "\u00a0=1", "\uff1d1"),
)


def hostile() -> list[bytes]:
    """Raw messages that are hard to cut the details out of, and texts that are hard to write."""
    head = b'{"timestamp":"2025-10-11T10:00:00Z","user":"u","action":"a.b",'
    raws = [
        head + b'"details":{"big":123456789012345678901234567890,"f":12.40,"e":1e5}}',
        head + b'"details": {"spaced" : [1, 2]} }',
        head + b'"details":\n{\n"lines": "a\\nb"\r\n}\n}',
        head + b'"det\\u0061ils":{"escaped":1}}',
        head + b'"x":{"details":{"nested":1}}}',
        head + b'"x":{"details":{"nested":1}},"details":{"own":2}}',
        head + b'"x":"\\"details\\":{}","details":{"own":3}}',
        head + b'"x":"details","details":{"own":4}}',
        head + b'"details":{"own":5.10},"reason":"after"}',
        head + b'"details":{"a":"[{","b":"}\\\\","c":"\\""},"reason":"x"}',
        head + b'"details":{},"z":{"a":1}}',
        head + b'"details":null}',
        head[:-1] + b"}",
        head + '"details":{"t":"grün","u":"gr\\u00fcn","v":"\u2028\u202e"}}'.encode(),
        head + b'"details":{"tab":"\\t","n":"\\u0000","s":"a/b"}}',
        b"  " + head + b'"details":{"own":6}}\n\n',
        head + b'"details":{"details":{"details":1}}}',
        head + b'"details":{"long":"' + b"x" * 50_000 + b'"}}',
    ]
    return [line(raw, 1000 + n) for n, raw in enumerate(raws)]


def texts() -> list[bytes]:
    """Events whose texts would break a line, a cell, a formula, or a mark."""
    values = [
        *FORMULAS,
        'a "quoted", text',
        "two\nlines\r\nand more",
        "\x01\x02\x00 controls \x1b[31m",
        "<script>alert(1)</script>",
        "\u202eevil\u2066",
        "back\\slash \\n",
        "Größe 大きさ 🙂",
        "  spaces  ",
        "null",
        "w" * 10_000,
    ]
    made = []
    for n, value in enumerate(values):
        made.append(
            event(
                1100 + n,
                user=value[:256],
                resource=value[:1024],
                user_agent=value[:2048],
                reason=value[:2048],
                details={"v": value},
                timestamp=f"2025-10-11T11:{n:02}:00Z",
            )
        )
    made.append(
        event(
            1150,
            details={"before": "=1", "after": "@2"},
            timestamp="2025-10-11T11:59:00.123456Z",
        )
    )
    return made


def changes() -> list[bytes]:
    raw = b'{"timestamp":"2025-10-11T12:00:00Z","user":"u","action":"a.b","details":{"n":1}}'
    return [
        line(
            raw,
            1200,
            changed=["a", 'b"c', "=x"],
            before=['"90 days"', "", "12345678901234567890123"],
            after=["", '{"x":\n[1.50]}', "null"],
            flags=["late", "protected"],
            rules=["=r"],
            geo_country="DE",
            geo_asn=3320,
            geo_as_name="=DTAG",
            retain_until="2032-10-11",
            ip_address="2001:db8::7",
            risk_score=99,
            severity="critical",
        ),
        line(raw, 1201, ip_address="::ffff:203.0.113.7", recorded="2025-10-12 00:00:00.000"),
    ]


def crowd(count: int = 600) -> list[bytes]:
    """Many events of one minute, unevenly large, of few users and equal moments."""
    return [
        event(
            2000 + n,
            user=f"user{n % 3}",
            details={"n": n, "pad": "p" * (n * 37 % 3_000)},
            timestamp="2025-10-05T00:00:00Z",
            tenant=TENANT if n % 10 == 0 else "default",
        )
        for n in range(count)
    ]


def fill(store: Store) -> None:
    """Put everything in, with a ledger that ends before what is in flight."""
    rows = [*special_events(), *hostile(), *texts(), *changes(), *crowd()]
    first = [orjson.loads(row) for row in rows]
    again = [{**row, "incarnation": OTHER, "event_id": f"o-{row['offset']}"} for row in first[:50]]
    canaries = [
        {**first[0], "offset": 4000 + n, "event_id": f"c{n}", "flags": [CANARY]} for n in range(3)
    ]
    reads = [
        {
            **first[0],
            "offset": 4100 + n,
            "event_id": f"r{n}",
            "action": "audit.events.searched",
            "flags": [READ],
        }
        for n in range(4)
    ]
    stored = [*first, *again, *canaries, *reads]
    put(store, [orjson.dumps(row) for row in stored], "exports-1")
    in_flight = [event(END + n, user="in-flight") for n in range(5)]
    put(store, in_flight, "exports-2")
    moved = [
        line(b'{"timestamp":"2025-10-01T00:00:00Z","user":"moved","action":"a.b"}', 7, replayed=1)
    ]
    put(store, moved, "exports-3")
    book(store, INCARNATION, len(stored) - len(again))
    book(store, OTHER, len(again))


def book(store: Store, incarnation: str, rows: int) -> None:
    batch = {
        "incarnation": incarnation,
        "topic": "audit.events",
        "partition": 0,
        "origin_from": 0,
        "origin_next": END,
        "record_first": 0,
        "record_last": END,
        "rows_stored": rows,
    }
    store.insert_lines(BATCHES, list(batch), orjson.dumps(batch), f"exports-book-{incarnation}")


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1000


@dataclass
class Office:
    """Everything of an export service but its port."""

    store: Store
    state: State
    folder: Path
    answers: Any = None
    limits: ExportLimits = field(default_factory=ExportLimits)
    clock: Ticking = field(default_factory=Ticking)
    piece_bytes: int = 40_000
    seen: list[Read] = field(default_factory=list)
    told: list[Mapping[str, Any]] = field(default_factory=list)
    is_full: bool = False  # no event can be kept

    def __post_init__(self) -> None:
        self.threads = Threads()
        self.desk = Desk(
            self.state,
            self.folder,
            self.clock,
            self.answers or self.store,
            self.threads,
            self.limits,
        )
        self.readers: list[Reader] = []

    def api(self, authenticator: Any) -> Api:
        async def saw(read: Read) -> None:
            self.seen.append(read)

        async def record(event: Mapping[str, Any]) -> None:
            if self.is_full:
                raise Refused("unrecorded", "too many audit events wait for Kafka")
            self.told.append(event)

        reader = Reader(self.store, is_too_broad=is_too_broad)
        self.readers.append(reader)
        ports = Ports(ledger, replay, (), saw, record=record)
        return Api(reader, ports, authenticator, self.state, clock=self.clock, desk=self.desk)

    def client(
        self, tenant: str | None = None, principal: Principal | None = None
    ) -> httpx.AsyncClient:
        known: Any = ServiceToken(SecretStr(TOKEN), tenant)
        if principal is not None:
            known = Known(principal)
        app = build_api(self.api(known))
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8000",
            headers={"authorization": f"Bearer {TOKEN}"},
        )

    def worker(self, **given: Any) -> Worker:
        api = self.api(ServiceToken(SecretStr(TOKEN)))
        return Worker(
            api,
            self.desk,
            is_too_broad,
            piece_bytes=lambda _form: self.piece_bytes,
            **{"checkpoint_ms": 0, "retry_s": 0.01, **given},
        )

    async def work(self, worker: Worker | None = None) -> None:
        """Work until nothing is left to do."""
        stop = asyncio.Event()
        running = asyncio.create_task((worker or self.worker()).run(stop))
        while await self.open():
            await asyncio.sleep(0.02)
            if running.done():
                running.result()
        stop.set()
        await running

    async def open(self) -> int:
        sql = "SELECT count(*) FROM exports WHERE state IN ('queued', 'running')"
        return int(await self.state.read(lambda db: db.execute(sql).fetchone()[0]))

    def close(self) -> None:
        self.threads.close()
        for reader in self.readers:
            reader.close()


class Known:
    """Lets one principal in."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def by_token(self, token: str, client: str) -> Principal | None:
        del token, client
        return self._principal

    async def by_session(self, cookie: str, client: str) -> Principal | None:
        del cookie, client
        return self._principal


@contextmanager
def filled_store(store: Store) -> Iterator[Store]:
    with Store(store.name, database="exports") as opened:
        migrate(opened)
        fill(opened)
        yield opened


@asynccontextmanager
async def open_office(store: Store, folder: Path) -> AsyncIterator[Office]:
    state = State(folder / "console.sqlite3")
    await state.open()
    made = Office(store, state, folder / "exports")
    yield made
    made.close()
    await state.close()


async def export(office: Office, **asked: Any) -> tuple[dict[str, Any], bytes, dict[str, Any]]:
    """Order, work, and bring home: what is told of it, its bytes, its manifest."""
    async with office.client() as client:
        ordered = await client.post("/v1/exports", json=asked)
        assert ordered.status_code == 201, ordered.text
        await office.work()
        shown = (await client.get(f"/v1/exports/{ordered.json()['id']}")).json()
        assert shown["state"] == "done", shown
        body = (await client.get(f"/v1/exports/{shown['id']}/stream")).content
        manifest = (await client.get(f"/v1/exports/{shown['id']}/manifest")).json()
    return shown, body, manifest


def stored_rows(store: Store, where: str) -> list[dict[str, Any]]:
    words = ["SELECT", EVENT_SELECT, "FROM", EVENTS, "WHERE", where]
    return store.query(" ".join(words))
