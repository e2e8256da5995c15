"""What the health page and GET /v1/health answer: what holds now, and what it is made of."""

from typing import Literal

from schemas.ledger import Ledger
from schemas.views import Check, TargetOut, View

Verdict = Literal["ok", "broken", "unknown"]


class Promise(View):
    """One invariant of docs/invariants.md: whether it holds now, and what to do if not.

    `unknown` is what can't be seen at the moment; it is not good enough for `ok`.
    """

    number: int
    promise: str
    state: Verdict
    found: str
    cure: str | None = None


class Rate(View):
    """How much came in over the last minutes, stored and quarantined, and how many a second."""

    minutes: int
    stored: int
    quarantined: int
    per_second: float


class BatchOut(View):
    """One batch of the sink: which offsets it accounts for, and how long its last event took."""

    partition: int
    origin_from: int
    origin_next: int
    stored: int
    quarantined: int
    gaps: int
    repeats: int
    bytes: int
    written: str
    delay_s: float


class ReasonOut(View):
    """How many open messages of the quarantine have one reason."""

    reason: str
    hint: str
    messages: int
    first: str
    last: str


class HealthOut(View):
    """Green only if every promise holds now. A part that could not be asked is in `faults`."""

    ok: bool
    at: str
    promises: tuple[Promise, ...]
    ledger: Ledger | None = None
    rates: tuple[Rate, ...] = ()
    batches: tuple[BatchOut, ...] = ()
    quarantine: tuple[ReasonOut, ...] = ()
    targets: tuple[TargetOut, ...] = ()
    versions: dict[str, str]
    checks: tuple[Check, ...]
    faults: tuple[str, ...] = ()
