import io
import logging
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.log import TEXT_CHARS_MAX, configure, escape, event, fold


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("test", "info", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def one(stream: io.StringIO) -> dict[str, object]:
    text = stream.getvalue()
    assert text.count("\n") == 1
    told: dict[str, object] = orjson.loads(text)
    return told


def test_an_event_is_one_json_line_with_its_fields(lines: io.StringIO) -> None:
    event(logging.getLogger("a.b"), "batch stored", rows=3, age_ms=1.5, ok=True, topic="t")
    told = one(lines)
    assert told.pop("time")
    assert told == {
        "level": "info", "service": "test", "logger": "a.b", "event": "batch stored",
        "rows": 3, "age_ms": 1.5, "ok": True, "topic": "t",
    }  # fmt: skip


def test_a_field_cannot_take_the_place_of_a_part_of_the_line(lines: io.StringIO) -> None:
    event(logging.getLogger("x"), "named", service="evil")
    assert (one(lines)["service"], one(lines)["service_"]) == ("test", "evil")


def test_an_exception_and_its_cause_stay_in_one_line(lines: io.StringIO) -> None:
    def fail() -> None:
        try:
            raise KeyError("first\nsecond")  # noqa: TRY301 - it is the cause
        except KeyError as error:
            raise ValueError("outer") from error

    try:
        fail()
    except ValueError as error:
        event(logging.getLogger("x"), "failed", level=logging.ERROR, error=error)
    told = str(one(lines)["error"])
    assert told.startswith("ValueError: outer [test_log.py:")
    assert "← KeyError" in told


def test_a_library_speaks_from_warning_on(lines: io.StringIO) -> None:
    logging.getLogger("aiokafka").info("chatter")
    logging.getLogger("uvicorn.access").info("GET /?token=x")
    logging.getLogger("aiokafka").warning("trouble with %s", "a\x1b[31mb\nc")
    assert one(lines)["event"] == "trouble with a\\x1b[31mb\\nc"


def test_a_secret_is_masked_in_text_and_by_its_field_name(lines: io.StringIO) -> None:
    event(logging.getLogger("x"), "connect password=hunter2", password="hunter3")
    assert "hunter" not in lines.getvalue()


def test_a_long_text_is_cut_with_a_count(lines: io.StringIO) -> None:
    event(logging.getLogger("x"), "y " * TEXT_CHARS_MAX)
    told = str(one(lines)["event"])
    assert len(told) < TEXT_CHARS_MAX + 30
    assert told.endswith("more)")


def test_a_line_for_people_names_service_and_fields() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure("sink", "info", stream, as_json=False)
    event(logging.getLogger("x"), "batch stored", rows=3, why="a b")
    root.handlers[:] = handlers
    root.setLevel(level)
    assert stream.getvalue()[8:] == ' info    sink: batch stored  rows=3 why="a b"\n'


@given(st.text(alphabet=st.characters(codec=None)))
def test_escaped_text_is_printable_one_line_and_stays_so(text: str) -> None:
    safe = escape(text)
    assert safe.isprintable()
    assert escape(safe) == safe
    if text.isprintable():
        assert safe == text


def test_a_cycle_of_causes_ends() -> None:
    one_error, other = ValueError("a"), ValueError("b")
    one_error.__cause__, other.__cause__ = other, one_error
    assert fold(one_error) == "ValueError: a ← ValueError: b"
