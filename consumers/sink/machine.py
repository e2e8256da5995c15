"""The sink's protocol for one partition, as a pure state machine: what happened, what to do next.

    START ──no intent──▶ READING ──batch──▶ ANNOUNCING ──ack──▶ WRITING ──ok──▶ ENTERING ─┐
      │                     ▲                                    │   ▲            ▲       │
      │                     └────────────────────────────────────│───│────────────│───────┘
      └──intent──▶ REREADING ──same bytes──▶ LOOKING ◀──unsure───┘   │            │
                                                ├──rows missing──────┘            │
                                                └──all there──────────────────────┘
    any ──fenced──▶ FENCED      any ──contradiction──▶ STOPPED

Source: docs/invariants.md 4. The intent stands inside the fenced offset commit; a batch has one
token; no write is repeated without a look; and the server itself refuses a write after its
deadline. Leave any of the four out and rows are lost or doubled:
tests/property/test_sink_model.py walks every state, and finds the fault without each.
Blind spot: a power cut of the store that falls between a look and the write that trusts it, while
an earlier request of the same batch was delayed into the same moment.
"""

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from consumers.sink.batch import Batch
from consumers.sink.intent import Intent, Position


class Phase(Enum):
    """Where one partition's writer is."""

    START = "start"
    READING = "reading"
    REREADING = "rereading"
    ANNOUNCING = "announcing"
    LOOKING = "looking"
    WRITING = "writing"
    ENTERING = "entering"
    FENCED = "fenced"
    STOPPED = "stopped"


# What happened.
class Resumed(NamedTuple):
    """The position was read from the group, or found by the store, or is the topic's beginning."""

    position: Position


class Filled(NamedTuple):
    """A batch is due, cut from the state's position; or read again, up to the intent's last."""

    batch: Batch | None
    now_s: int


class Moved(NamedTuple):
    """Nothing but repeats was read, or another incarnation begins: the position after that."""

    position: Position


class Announced(NamedTuple):
    """The group accepted the commit."""


class Seen(NamedTuple):
    """The store has so many rows of the batch's raw offsets in each table."""

    accepted: int
    rejected: int
    asked_s: int  # the time before the question was sent: an answer says nothing of later


class Written(NamedTuple):
    """The store confirmed both inserts."""


class Unsure(NamedTuple):
    """The store did not confirm, or refused as late: it may have written nonetheless."""


class Entered(NamedTuple):
    """The batch's line stands in the ledger."""


class Lost(NamedTuple):
    """The group gave the partition away."""


class Contradicted(NamedTuple):
    """A hole, a refusal of the data, rows that can't be: nothing may be stored past it."""

    why: str


Event = (
    Resumed | Filled | Moved | Announced | Seen | Written | Unsure | Entered | Lost | Contradicted
)


# What to do.
class Read(NamedTuple):
    """Wait for the next batch from here; commit the position when idle."""

    position: Position


class Reread(NamedTuple):
    """Read again exactly from the position to its intent's last record."""

    position: Position


class Announce(NamedTuple):
    """Commit the batch's position with its intent, fenced."""

    batch: Batch
    deadline_s: int


class Look(NamedTuple):
    """Count the batch's rows in the store."""

    batch: Batch


class Write(NamedTuple):
    """Insert until confirmed, same bytes, same tokens, stamped with the deadline.

    Only into the tables that lack their rows. The deadline was set before the commit or the look
    that allows this write, so a writer that slept in between is refused by the server.
    """

    batch: Batch
    deadline_s: int
    accepted: bool
    rejected: bool


class Enter(NamedTuple):
    """Write the batch's line into the ledger."""

    batch: Batch


class Drop(NamedTuple):
    """Forget everything, touch nothing."""


class Stop(NamedTuple):
    """Store nothing more of this partition until a human looked."""

    why: str


Action = Read | Reread | Announce | Look | Write | Enter | Drop | Stop


_BEGINNING = Position(0)


@dataclass(frozen=True, slots=True)
class State:
    """The writer's whole memory beside its backlog."""

    phase: Phase = Phase.START
    position: Position = _BEGINNING
    batch: Batch | None = None
    intent: Intent | None = None
    deadline_s: int = 0


def step(  # noqa: C901, PLR0911 - a table of transitions, one return each
    state: State, event: Event, lifetime_s: int
) -> tuple[State, Action]:
    """Return what the writer is after the event, and what it does next.

    `lifetime_s` is how long the store may take a batch after it was announced or looked for.
    Total over what can happen in each phase; anything else is a bug and raises `AssertionError`.
    """
    match event:
        case Lost():
            return State(Phase.FENCED), Drop()
        case Contradicted(why):
            return _stopped(state, why)
    match state.phase, event:
        case Phase.START, Resumed(position):
            return _resumed(position)
        case Phase.READING, Moved(position):
            return State(Phase.READING, position), Read(position)
        case Phase.READING, Filled(Batch() as batch, now_s):
            due = now_s + lifetime_s
            return State(Phase.ANNOUNCING, batch.position, batch, None, due), Announce(batch, due)
        case Phase.ANNOUNCING, Announced():
            # No look before the first write: the intent is new, and only its owner may write.
            return _write(state, accepted=True, rejected=True)
        case Phase.REREADING, Filled(batch, _):
            return _reread(state, batch)
        case Phase.LOOKING, Seen():
            return _seen(state, event, lifetime_s)
        case Phase.WRITING, Written():
            return replace(state, phase=Phase.ENTERING), Enter(_batch(state))
        case Phase.WRITING, Unsure():
            return replace(state, phase=Phase.LOOKING), Look(_batch(state))
        case Phase.ENTERING, Entered():
            position = _batch(state).behind()
            return State(Phase.READING, position), Read(position)
    raise AssertionError(f"{type(event).__name__} can't happen while {state.phase.value}")


def _batch(state: State) -> Batch:
    assert state.batch is not None, f"{state.phase.value} has a batch"
    return state.batch


def _stopped(state: State, why: str) -> tuple[State, Action]:
    return replace(state, phase=Phase.STOPPED), Stop(why)


def _resumed(position: Position) -> tuple[State, Action]:
    if position.intent is None:
        return State(Phase.READING, position), Read(position)
    return State(Phase.REREADING, position, intent=position.intent), Reread(position)


def _reread(state: State, batch: Batch | None) -> tuple[State, Action]:
    intent = state.intent
    assert intent is not None, "only an announced batch is read again"
    if batch is None or batch.intent(intent.deadline_s) != intent:
        return _stopped(state, "the announced records read differently now: lost or rewritten")
    return State(Phase.LOOKING, batch.position, batch), Look(batch)


def _seen(state: State, seen: Seen, lifetime_s: int) -> tuple[State, Action]:
    """Write what is missing. Each table's rows are one part, so they are all there or none."""
    batch = _batch(state)
    due = (len(batch.accepted), len(batch.rejected))
    found = (seen.accepted, seen.rejected)
    if any(have not in (0, want) for have, want in zip(found, due, strict=True)):
        return _stopped(state, f"the store has {found} rows of a batch of {due}")
    if found == due:
        return replace(state, phase=Phase.ENTERING), Enter(batch)
    fresh = replace(state, deadline_s=seen.asked_s + lifetime_s)
    return _write(fresh, accepted=not found[0], rejected=not found[1])


def _write(state: State, *, accepted: bool, rejected: bool) -> tuple[State, Action]:
    batch = _batch(state)
    return replace(state, phase=Phase.WRITING), Write(
        batch,
        state.deadline_s,
        accepted=accepted and bool(batch.accepted),
        rejected=rejected and bool(batch.rejected),
    )
