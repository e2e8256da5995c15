"""Reading files: lines, documents, arrays, gzip; and what is counted when they are published."""

import gzip
import io
from collections.abc import Iterable
from pathlib import Path

import pytest

from producers.file import Counts, Line, Refusal, as_is, native, publish_file, read_lines
from producers.lane import Outcome, Receipt
from schemas.errors import BadEvent, BrokerUnavailable, Misconfigured

GOOD = b'{"timestamp":"2025-10-11T14:23:15Z","user":"a","action":"a.b"}'
PRETTY = b'{\n  "timestamp": "2025-10-11T14:23:15Z",\n  "user": "a",\n  "action": "a.b"\n}\n'
SEED = Path(__file__).parents[4] / "shared/seed"


def read(content: bytes) -> list[Line]:
    return list(read_lines(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param(b"", [], id="empty"),
        pytest.param(b"\n \n", [], id="blank"),
        pytest.param(b"a\n\nb\r\nc", [(1, b"a"), (3, b"b"), (4, b"c")], id="lines"),
        pytest.param(b"\n" + GOOD + b"\n{bad\n", [(2, GOOD), (3, b"{bad")], id="a bad line"),
        pytest.param(b'{"a": broken\n' + GOOD, [(1, b'{"a": broken'), (2, GOOD)], id="bad first"),
        pytest.param(PRETTY, [(1, PRETTY.rstrip())], id="one document"),
        pytest.param(b'[{"a":1},\n {"b":2}]', [(1, b'{"a":1}'), (2, b'{"b":2}')], id="array"),
        pytest.param(b'{"Records":[{"a":1},{"b":2}]}', [(1, b'{"a":1}'), (2, b'{"b":2}')],
                     id="cloudtrail file"),
        pytest.param(b"{\nnot json\nat all", [(1, b"{"), (2, b"not json"), (3, b"at all")],
                     id="no document after all"),
        pytest.param(b"5\n6", [(1, b"5"), (2, b"6")], id="numbers"),
    ],
)  # fmt: skip
def test_events_are_found_in_whatever_holds_them(
    content: bytes, lines: list[tuple[int, bytes]]
) -> None:
    assert read(content) == lines
    assert read(gzip.compress(content)) == lines


def test_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(Misconfigured, match="longer than 10 bytes"):
        list(read_lines(io.BytesIO(b"x" * 100), bytes_max=10))
    with pytest.raises(Misconfigured, match="more than 10 bytes"):
        list(read_lines(io.BytesIO(b"[\n" + b"1," * 100), bytes_max=10))


def test_broken_gzip_is_named() -> None:
    with pytest.raises(Misconfigured, match="gzip"):
        read(gzip.compress(GOOD * 1000)[:-20])


@pytest.mark.skipif(not SEED.exists(), reason="the shared seed is not on this machine")
@pytest.mark.parametrize("name", ["login", "data_export", "configuration_change"])
def test_seed_example_goes_in_unchanged(name: str) -> None:
    content = (SEED / f"{name}.json").read_bytes()
    [line] = read(content)
    assert native(line.raw).value == content.strip()


class ManyTaker:
    """Takes all, but fails from message `fails_from` on."""

    def __init__(self, fails_from: int = 1 << 60) -> None:
        self.taken: list[tuple[bytes, bytes | None]] = []
        self._fails_from = fails_from

    async def publish_many_bytes(
        self,
        messages: Iterable[tuple[bytes, bytes | None]],
        *,
        deadline_s: float | None = None,  # noqa: ARG002 - as the real one
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for message in messages:
            if len(self.taken) >= self._fails_from:
                outcomes.append(BrokerUnavailable("away"))
            else:
                outcomes.append(Receipt("t", 0, len(self.taken), 0))
                self.taken.append(message)
        return outcomes


async def test_bad_lines_are_refused_with_their_number() -> None:
    taker = ManyTaker()
    seen: list[int] = []
    lines = [Line(1, GOOD), Line(2, b"{}"), Line(3, GOOD)]
    counts = await publish_file(taker, lines, native, lambda so_far: seen.append(so_far.read))

    assert taker.taken == [(GOOD, b"default/a")] * 2
    assert counts == Counts(3, 2, 1, 0, [Refusal(2, "timestamp:missing", "add the field")])
    assert seen == [3]


async def test_raw_mode_publishes_what_is_no_event() -> None:
    taker = ManyTaker()
    counts = await publish_file(taker, [Line(1, b"\xff"), Line(2, GOOD)], as_is)

    assert taker.taken == [(b"\xff", None), (GOOD, b"default/a")]
    assert (counts.published, counts.refused) == (2, 0)


async def test_publishing_stops_when_the_broker_fails() -> None:
    taker = ManyTaker(fails_from=1_500)
    counts = await publish_file(taker, (Line(n, GOOD) for n in range(1, 9_999)), native)

    assert (counts.read, counts.published, counts.failed) == (2_000, 1_500, 500)
    assert counts.failures == {"away": counts.failed}
    assert counts.refusals == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (GOOD.replace(b"2025-10", b"2025-13"), "timestamp:invalid"),
        (GOOD.replace(b"2025", b"2400"), "timestamp:out_of_range"),
        (GOOD.replace(b"}", b',"ip_address":"1.2.3.400"}'), "ip_address:invalid"),
    ],
)
def test_what_the_pipeline_would_refuse_is_refused_here(raw: bytes, reason: str) -> None:
    with pytest.raises(BadEvent) as caught:
        native(raw)
    assert caught.value.reason == reason
    assert as_is(raw).key == b"default/a"
