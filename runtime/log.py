"""One line an event, for people on a terminal and as JSON elsewhere; secrets never get out."""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

from schemas.secrets import mask_details, mask_text

TEXT_CHARS_MAX: Final = 2_000
FRAMES_MAX: Final = 12
FIELDS: Final = "audit_fields"  # where `event` leaves its fields on the log record
# libraries that install handlers of their own, or print what people did at a level we show
THIRD_PARTY: Final = (
    "aiokafka", "asyncio", "apprise", "clickhouse_connect", "faust", "httpcore", "httpx", "kafka",
    "mode", "uvicorn", "uvicorn.access", "uvicorn.error", "urllib3",
)  # fmt: skip
LEVELS: Final = ("debug", "info", "warning", "error")


def configure(
    service: str, level: str = "info", stream: TextIO | None = None, *, as_json: bool | None = None
) -> None:
    """Send everything that is logged in this process through one handler. Idempotent.

    `level` is for our own loggers; libraries speak from warning on, or at ours if it is debug or
    higher. JSON unless the stream is a terminal; `as_json` decides otherwise.
    """
    out = stream or sys.stderr
    is_json = not out.isatty() if as_json is None else as_json
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines(service) if is_json else TerminalLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    quiet = number if number <= logging.DEBUG else max(number, logging.WARNING)
    for name in THIRD_PARTY:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(quiet)
    logging.captureWarnings(capture=True)


def event(
    logger: logging.Logger,
    name: str,
    *,
    level: int = logging.INFO,
    error: BaseException | None = None,
    **fields: object,
) -> None:
    """Log one thing that happened: a fixed name in words, and what varies as fields."""
    logger.log(level, "%s", name, extra={FIELDS: fields}, exc_info=error)


def escape(text: str) -> str:
    """Make text safe for a terminal and one line: nothing but printable characters.

    Control, bidirectional and unassigned characters become backslash escapes. Idempotent.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _code(char) for char in text)


def clean(text: str) -> str:
    """Mask the secrets in a text, escape and shorten it."""
    safe = escape(mask_text(text))
    if len(safe) <= TEXT_CHARS_MAX:
        return safe
    return f"{safe[:TEXT_CHARS_MAX]}… ({len(safe) - TEXT_CHARS_MAX} more)"


def fold(error: BaseException) -> str:
    """Write an exception, its causes and where they came from in one line, newest first."""
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = traceback.extract_tb(link.__traceback__)[-FRAMES_MAX:]
        trail = " < ".join(
            f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}"
            for frame in reversed(frames)
        )
        parts.append(f"{type(link).__name__}: {link}" + (f" [{trail}]" if trail else ""))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return clean(" ← ".join(parts))


class _Lines(logging.Formatter):
    """What both shapes of line share: the parts of a record, masked and escaped."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return the parts of the line in the order to show them."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self.service,
            "logger": record.name,
            "event": clean(record.getMessage()),
        }
        given = getattr(record, FIELDS, {})
        for name, value in mask_details(given).items() if given else ():
            told[name if name not in told else f"{name}_"] = _shown(value)
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = fold(record.exc_info[1])
        return told


class JsonLines(_Lines):
    """One JSON object a line, for collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. Total: what JSON can't say is written as text."""
        return orjson.dumps(self.fields(record), default=lambda value: clean(str(value))).decode()


class TerminalLines(_Lines):
    """`12:00:01 info  event name=value`, for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told = self.fields(record)
        time, level, name = told.pop("time")[11:19], told.pop("level"), told.pop("event")
        del told["logger"]
        service = told.pop("service")
        rest = " ".join(f"{key}={_quoted(value)}" for key, value in told.items())
        return f"{time} {level:<7} {service}: {name}" + (f"  {rest}" if rest else "")


def _code(char: str) -> str:
    try:
        return char.encode("unicode_escape").decode("ascii")
    except UnicodeEncodeError:  # half of a pair
        return f"\\u{ord(char):04x}"


def _shown(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return fold(value)
    return clean(value if isinstance(value, str) else str(value))


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and not set(text) & set(' "=') else orjson.dumps(text).decode()
