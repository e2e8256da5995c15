"""Every state of the sink's protocol: two sinks, kills, rebalances, delays, lost replies.

The machine under test is the real one; around it stands a model of a broker's group, a network and
a store. Each guard is then left out in turn, and the same walk must find the fault.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import pytest

from consumers.sink.batch import Backlog, Batch, Limits
from consumers.sink.intent import Position
from consumers.sink.machine import (
    Action,
    Announce,
    Announced,
    Drop,
    Enter,
    Entered,
    Event,
    Filled,
    Look,
    Lost,
    Phase,
    Read,
    Reread,
    Resumed,
    Seen,
    State,
    Stop,
    Unsure,
    Write,
    Written,
    step,
)
from schemas.record import ACCEPTED, COVERAGE_HEADER, REJECTED, encode_coverage

BOTH = (ACCEPTED, REJECTED)  # the topic's records, so that both tables are in play
ONE = (ACCEPTED,)
LIFETIME = 1  # ticks that the store may take a batch
WINDOW = 2  # ticks that the store remembers a token: more than LIFETIME, or nothing holds
FLIGHT_MAX = 2


class Guards(NamedTuple):
    """What protects; each can be left out."""

    fencing: bool = True
    token: bool = True
    look: bool = True
    deadline: bool = True


@dataclass
class FakeRecord:
    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass
class FakeRun:
    records: tuple[FakeRecord, ...]
    count: int = 1
    last: int = 0
    timestamp: int = 0
    bytes_: int = 1

    def open(self) -> tuple[FakeRecord, ...]:
        return self.records


class Request(NamedTuple):
    sender: int
    token: str
    origins: tuple[int, ...]
    deadline_s: int


class Sink(NamedTuple):
    """One process: what it does now, as a number of `PLACES`, and how far it is with it."""

    generation: int = -1
    place: int = 0
    done: int = 0  # tables written, for Write
    is_sent: bool = False
    asked_s: int = -1


# States, actions and positions are large to hash: worlds hold their numbers instead.
PLACES: list[tuple[State, Action | None]] = [(State(), None)]
POSITIONS: list[Position] = [Position(0, "inc", 0)]


def number_of(known: list[Any], thing: object) -> int:
    if thing not in known:
        known.append(thing)
    return known.index(thing)


class World(NamedTuple):
    kinds: tuple[str, ...]
    now_max: int
    rows: tuple[int, ...]
    now: int = 0
    generation: int = 0
    owner: int = -1
    committed: int = 0  # of POSITIONS
    tokens: tuple[tuple[str, int], ...] = ()
    flight: tuple[Request, ...] = ()
    sinks: tuple[Sink, Sink] = (Sink(), Sink())
    kills: int = 0
    moves: int = 0
    outages: int = 0


def record(kinds: tuple[str, ...], offset: int) -> FakeRecord:
    coverage = encode_coverage(kinds[offset], "inc", offset, offset)
    return FakeRecord(
        offset, 1_700_000_000_000, b'{"offset":%d}' % offset, ((COVERAGE_HEADER, coverage),)
    )


@cache
def cut(kinds: tuple[str, ...], position: Position, rows: int) -> Batch | None:
    backlog = Backlog()
    records = [record(kinds, offset) for offset in range(position.offset, len(kinds))]
    backlog.feed([FakeRun((one,), last=one.offset) for one in records], 0, 0)
    plain = Position(position.offset, position.incarnation, position.expected)
    return backlog.cut(plain, Limits(rows, 10**6, 0)).batch


def origins_of(batch: Batch, kind: str) -> tuple[int, ...]:
    span = range(batch.position.expected, batch.origin_next)
    return tuple(origin for origin in span if BOTH[origin] == kind)


@cache
def after(kinds: tuple[str, ...], place: int, name: str, *given: int) -> int:
    """Step the real machine; remember it, for it is pure."""
    state, action = PLACES[place]
    return number_of(PLACES, step(state, event_of(kinds, action, name, *given), LIFETIME))


def event_of(kinds: tuple[str, ...], action: Action | None, name: str, *given: int) -> Event:
    match name:
        case "resumed":
            return Resumed(POSITIONS[given[0]])
        case "filled":
            assert isinstance(action, Read | Reread)
            return Filled(cut(kinds, action.position, given[0]), given[1])
        case "seen":
            return Seen(given[0], given[1], given[2])
    plain: dict[str, Event] = {"announced": Announced(), "written": Written(), "unsure": Unsure(),
            "entered": Entered(), "lost": Lost()}  # fmt: skip
    return plain[name]


def told(world: World, sink: Sink, name: str, *given: int) -> Sink:
    place = after(world.kinds, sink.place, name, *given)
    if isinstance(PLACES[place][1], Drop):
        return Sink()
    return Sink(sink.generation, place)


def with_sink(world: World, number: int, sink: Sink) -> World:
    sinks = (sink, world.sinks[1]) if number == 0 else (world.sinks[0], sink)
    return world._replace(sinks=sinks)


@cache
def due_at(place: int) -> list[tuple[str, tuple[int, ...]]]:
    write = PLACES[place][1]
    assert isinstance(write, Write)
    return due(write)


@cache
def announced_at(place: int) -> int:
    """The position that an announcing sink commits."""
    action = PLACES[place][1]
    assert isinstance(action, Announce)
    intent = action.batch.intent(action.deadline_s)
    return number_of(POSITIONS, action.batch.position.announced(intent))


def due(write: Write) -> list[tuple[str, tuple[int, ...]]]:
    kinds = [(ACCEPTED, write.accepted), (REJECTED, write.rejected)]
    span = f"{write.batch.position.expected}-{write.batch.origin_next}"
    return [(f"{span}:{kind}", origins_of(write.batch, kind)) for kind, is_due in kinds if is_due]


def moves_of(world: World, guards: Guards) -> Iterator[World]:
    """Give every world that may come next."""
    for number, sink in enumerate(world.sinks):
        yield from sink_moves(world, guards, number, sink)
        if world.kills and sink.place:
            killed = with_sink(world, number, Sink())
            owner = -1 if world.owner == number else world.owner
            yield killed._replace(kills=world.kills - 1, owner=owner)
    yield from group_moves(world)
    yield from store_moves(world, guards)


def group_moves(world: World) -> Iterator[World]:
    for number in (0, 1):
        is_free = world.owner == -1
        if is_free or (world.moves and world.owner != number):
            moved = world._replace(owner=number, generation=world.generation + 1)
            yield moved if is_free else moved._replace(moves=world.moves - 1)


def sink_moves(  # noqa: C901 - one branch an action
    world: World, guards: Guards, number: int, sink: Sink
) -> Iterator[World]:
    if sink.generation != world.generation:
        if world.owner == number:  # a rebalance: whatever it did is over
            fresh = Sink(world.generation)
            yield with_sink(world, number, told(world, fresh, "resumed", world.committed))
        elif sink.place:
            yield with_sink(world, number, Sink())
    match PLACES[sink.place][1]:
        case Read(position):
            yield from read_moves(world, guards, number, sink, position)
        case Reread(position):
            assert position.intent is not None
            rows = position.intent.origin_next - position.expected
            yield with_sink(world, number, told(world, sink, "filled", rows, world.now))
        case Announce():
            yield committed(world, guards, number, sink, announced_at(sink.place), "announced")
        case Look(batch):
            if sink.asked_s < 0:
                yield with_sink(world, number, sink._replace(asked_s=world.now))
            else:
                yield with_sink(
                    world, number, told(world, sink, "seen", *seen(world, guards, sink, batch))
                )
        case Write() as write:
            yield from write_moves(world, number, sink, write)
        case Enter():
            yield with_sink(world, number, told(world, sink, "entered"))


def read_moves(
    world: World, guards: Guards, number: int, sink: Sink, position: Position
) -> Iterator[World]:
    for rows in range(1, len(world.kinds) - position.offset + 1):
        yield with_sink(world, number, told(world, sink, "filled", rows, world.now))
    proven = number_of(POSITIONS, position)
    if world.committed != proven:
        yield committed(world, guards, number, sink, proven, "")


def committed(  # noqa: PLR0917
    world: World, guards: Guards, number: int, sink: Sink, position: int, event: str
) -> World:
    if guards.fencing and sink.generation != world.generation:
        return with_sink(world, number, told(world, sink, "lost"))
    then = told(world, sink, event) if event else sink
    return with_sink(world._replace(committed=position), number, then)


def seen(world: World, guards: Guards, sink: Sink, batch: Batch) -> tuple[int, int, int]:
    if not guards.look:
        return 0, 0, sink.asked_s
    counts = [
        sum(world.rows[origin] for origin in origins_of(batch, kind))
        for kind in (ACCEPTED, REJECTED)
    ]
    return counts[0], counts[1], sink.asked_s


def write_moves(world: World, number: int, sink: Sink, write: Write) -> Iterator[World]:
    tables = due_at(sink.place)
    if sink.done == len(tables):
        yield with_sink(world, number, told(world, sink, "written"))
    elif sink.is_sent:
        yield with_sink(world, number, told(world, sink, "unsure"))
    elif len(world.flight) < FLIGHT_MAX:
        token, origins = tables[sink.done]
        request = Request(number, token, origins, write.deadline_s)
        sent = with_sink(world, number, sink._replace(is_sent=True))
        yield sent._replace(flight=tuple(sorted((*world.flight, request))))


def store_moves(world: World, guards: Guards) -> Iterator[World]:
    for request in set(world.flight):
        flight = list(world.flight)
        flight.remove(request)
        then = world._replace(flight=tuple(flight))
        is_late = guards.deadline and request.deadline_s < world.now
        if not is_late and not (guards.token and request.token in dict(world.tokens)):
            rows = tuple(n + (at in request.origins) for at, n in enumerate(world.rows))
            then = then._replace(rows=rows, tokens=((request.token, world.now), *world.tokens))
        yield then  # the reply is lost
        yield answered(then, request, is_late=is_late)
    if world.now < world.now_max:
        now = world.now + 1
        tokens = tuple((token, at) for token, at in world.tokens if at + WINDOW > now)
        yield world._replace(now=now, tokens=tokens)
    if world.outages and not any(map(is_between, world.sinks)):
        # power cut: the store's memory of tokens is not durable, and nothing in flight arrives
        yield world._replace(outages=world.outages - 1, tokens=(), flight=())


def is_between(sink: Sink) -> bool:
    """Between a look and the write that trusts it: the milliseconds that a power cut must miss.

    A request delayed into them, and then forgotten with them, would be written twice.
    """
    action = PLACES[sink.place][1]
    return isinstance(action, Look) or (isinstance(action, Write) and not sink.is_sent)


def answered(world: World, request: Request, *, is_late: bool) -> World:
    sink = world.sinks[request.sender]
    write = PLACES[sink.place][1]
    if not (isinstance(write, Write) and sink.is_sent and write.deadline_s == request.deadline_s):
        return world
    if due_at(sink.place)[sink.done][0] != request.token:
        return world
    if is_late:
        return with_sink(world, request.sender, told(world, sink, "unsure"))
    return with_sink(world, request.sender, sink._replace(done=sink.done + 1, is_sent=False))


def fault_of(world: World) -> str:
    if max(world.rows) > 1:
        return "duplicate"
    if any(not world.rows[origin] for origin in range(POSITIONS[world.committed].expected)):
        return "loss"
    if any(isinstance(PLACES[sink.place][1], Stop) for sink in world.sinks):
        return "stopped"
    return ""


def walk(guards: Guards, start: World) -> tuple[str, int, set[Phase]]:
    """Visit every world; stop at the first fault. Returns it, how many, and the phases seen."""
    found = {start}
    waiting = deque([start])
    phases: set[Phase] = set()
    while waiting:
        world = waiting.popleft()
        phases.update(PLACES[sink.place][0].phase for sink in world.sinks)
        fault = fault_of(world)
        if fault:
            return fault, len(found), phases
        for then in moves_of(world, guards):
            if then not in found:
                found.add(then)
                waiting.append(then)
    return "", len(found), phases


def world_of(
    kinds: tuple[str, ...], now_max: int, *, kills: int = 0, moves: int = 0, outages: int = 0
) -> World:
    rows = (0,) * len(kinds)
    return World(kinds, now_max, rows, kills=kills, moves=moves, outages=outages)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(world_of(ONE, 3, moves=1), id="two sinks"),
        pytest.param(world_of(BOTH, 1, moves=1), id="two sinks that cut differently"),
        pytest.param(world_of(BOTH, 3, kills=1), id="a kill"),
        pytest.param(world_of(BOTH, 3, outages=1), id="a power cut of the store"),
    ],
)
def test_nothing_is_lost_nor_twice_in_any_state(start: World) -> None:
    fault, count, phases = walk(Guards(), start)

    assert fault == ""
    assert count > 1_000
    assert phases >= {Phase.READING, Phase.ANNOUNCING, Phase.WRITING, Phase.LOOKING, Phase.ENTERING}


@pytest.mark.parametrize(
    "guards",
    [
        pytest.param(Guards(fencing=False), id="fencing"),
        pytest.param(Guards(token=False), id="token"),
        pytest.param(Guards(look=False), id="look"),
        pytest.param(Guards(deadline=False), id="deadline"),
    ],
)
def test_without_one_guard_the_same_walk_finds_a_fault(guards: Guards) -> None:
    fault, _count, _phases = walk(guards, world_of(BOTH, 4, moves=1))

    assert fault in ("duplicate", "loss")
