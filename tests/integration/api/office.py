"""People at work on one store: a client for each, and what they left in the stream."""

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import httpx

from cli.alert_desk import change_writer
from console.access import Permission, Principal, Role
from console.ports import Ports, Read
from console.search.reading import Reader
from console.state import State
from console.web.api import Api, build_api
from console.web.service import is_too_broad
from consumers.alerts.book import Book
from consumers.alerts.planning import Placed
from runtime.clickhouse import Store
from schemas.errors import BrokerUnavailable
from schemas.rule import RuleView
from tests.integration.api.stored import NOW_MS, TOKEN, alert, event, ledger, put, replay

TENANT = "office"
CSRF = "c" * 32
DENIED = "audit.access.denied"
RULES = (
    RuleView(
        rule_id="rule",
        title="A rule",
        kind="event",
        severity="high",
        version=1,
        risk=30,
        why="It matters.",
        false_positives=("A drill.",),
        runbook="audit search --user {user} --since 24h",
        excepts="rule",
        logsource={"product": "dutycall"},
    ),
    RuleView(
        rule_id="many",
        title="Many",
        kind="event_count",
        severity="low",
        version=1,
        risk=5,
        made_of=("rule",),
    ),
)


class Clock:
    """Goes on by a second at each look."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        self.ms += 1_000
        return self.ms

    def monotonic(self) -> float:
        return 0.0


class Known:
    """Lets whoever has the token be one person."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def by_token(self, token: str, client: str) -> Principal | None:
        del client
        return self._principal if token == TOKEN else None

    async def by_session(self, cookie: str, client: str) -> Principal | None:
        del cookie, client
        return None


class Office:
    """The console over one store and state, as each of several people sees it."""

    numbers: Iterator[int] = count(20_000)

    def __init__(self, store: Store, state: State) -> None:
        self.store = store
        self.state = state
        self.reader = Reader(store, is_too_broad=is_too_broad)
        self.told: list[Mapping[str, Any]] = []
        self.denied: list[Mapping[str, Any]] = []
        self.seen: list[Read] = []
        self.away_after: int | None = None  # how many more are told before the broker is away
        self.clock = Clock()

    async def tell(self, one: Mapping[str, Any]) -> None:
        if self.away_after is not None:
            if self.away_after <= 0:
                raise BrokerUnavailable("Kafka is away")
            self.away_after -= 1
        if one["action"] == DENIED:
            self.denied.append(one)
        else:
            self.told.append(one)

    async def see(self, read: Read) -> None:
        self.seen.append(read)

    def client(
        self,
        name: str = "ann",
        *roles: Role,
        tenant: str | None = TENANT,
        kind: Any = "session",
        scope: frozenset[Permission] | None = None,
    ) -> httpx.AsyncClient:
        principal = Principal(
            name, frozenset(roles or ("analyst",)), tenant, kind, f"key-{name}", CSRF, scope=scope
        )
        ports = Ports(
            ledger,
            replay,
            saw=self.see,
            change=change_writer(self.store),
            record=self.tell,
            rules=lambda: RULES,
        )
        app = build_api(Api(self.reader, ports, Known(principal), self.state, clock=self.clock))
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8000",
            headers={"authorization": f"Bearer {TOKEN}", "accept": "text/html"},
        )

    def alert(self, *, lead: str = "", **fields: Any) -> str:
        """Store an alert and return its id."""
        number = next(self.numbers)
        one = alert(number % 10).model_copy(
            update={"alert_id": f"{number:032x}", "tenant": TENANT, "rule_id": "rule"} | fields
        )
        Book(self.store).store([Placed(one, 0, number, lead or one.alert_id, "user=jane")])
        return one.alert_id

    def event(self, **fields: Any) -> str:
        """Store an event and return its id."""
        number = next(self.numbers)
        event_id = fields.pop("event_id", f"office-{number}")
        given = {"tenant": TENANT, "event_id": event_id} | fields
        put(self.store, [event(number, **given)], f"office-{number}")
        return str(event_id)


def form(**fields: Any) -> dict[str, Any]:
    """Return a form of the session's own pages."""
    return {"csrf": CSRF, **fields}


def text_of(page: str) -> str:
    """Return what a page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
