"""The routes file: who hears what and when, as YAML, judged whole before anything starts."""

from datetime import UTC, time
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from consumers.alerts.quiet import EVERY_DAY, QuietHours
from consumers.alerts.routing import ALL, Escalation, Match, Route, Routing
from consumers.alerts.targets import Target, parse_target, refuse_twins
from consumers.alerts.throttle import Rate
from schemas.alert import Severity
from schemas.errors import Misconfigured

FILE_BYTES_MAX: Final = 1_048_576
SPAN_CHARS_MAX: Final = 8
SPANS: Final = {"s": 1, "m": 60, "h": 3_600}
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _span_ms(value: object) -> object:
    text = str(value)
    if text[-1:] in SPANS and text[:-1].isdecimal() and len(text) <= SPAN_CHARS_MAX:
        return int(text[:-1]) * SPANS[text[-1]] * 1_000
    raise ValueError("write a time such as 30s, 15m or 4h")


def _clock_time(value: object) -> object:
    if isinstance(value, int) and 0 <= value < 24 * 60:  # YAML 1.1 reads 20:00 as 1200
        return time(value // 60, value % 60)
    return value


def _zone(value: object) -> object:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone: write one such as Europe/Berlin") from None


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(max_length=256)]
Span = Annotated[int, BeforeValidator(_span_ms), Field(ge=1_000, le=86_400_000)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]
Zone = Annotated[Any, BeforeValidator(_zone)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True
    )


class _Throttle(_Part):
    per_minute: Annotated[float, Field(ge=0, le=100_000)]
    burst: Annotated[int, Field(ge=1, le=100_000)] = 1


class _Target(_Part):
    url: SecretStr | None = None
    url_file: Path | None = None
    secret_file: Path | None = None
    throttle: _Throttle | None = None

    @model_validator(mode="after")
    def _has_one_url(self) -> "_Target":
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give either url or url_file")
        return self


class _Match(_Part):
    severity: Annotated[frozenset[Severity], BeforeValidator(_listed)] = frozenset()
    tag: Texts = ()
    tenant: Texts = ()
    rule: Texts = ()


class _Quiet(_Part):
    begins: ClockTime = Field(alias="from")
    ends: ClockTime = Field(alias="to")
    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
        BeforeValidator(_listed),
    ] = ()
    severity: Annotated[frozenset[Severity], BeforeValidator(_listed)] = frozenset({"info", "low"})


class _Escalate(_Part):
    after: Span
    to: Texts


class _Route(_Part):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    match: _Match = _Match()
    to: Texts
    quiet: _Quiet | None = None
    digest: Literal["hourly", "daily"] | None = None
    digest_at: ClockTime = time(8)
    zone: Zone = UTC
    escalate: _Escalate | None = None
    throttle: _Throttle | None = None


class _File(_Part):
    targets: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")], _Target] = {}
    routes: Annotated[tuple[_Route, ...], Field(min_length=1, max_length=1_000)]


def load_routes(
    path: Path, given: tuple[Target, ...], secret: SecretStr | None, rates: tuple[Rate, Rate]
) -> tuple[tuple[Target, ...], Routing]:
    """Return all targets, `given` ones and the file's, and the routing.

    `rates` are those of a rule and of a target where the file says nothing. Raises
    `Misconfigured` naming the file, the place in it and the cure, never a value.
    """
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise Misconfigured(f"routes file {path}: over {FILE_BYTES_MAX} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"routes file {path} can't be read: {type(error).__name__}") from None
    found = parse_routes(text, str(path))
    base = path.parent
    own = tuple(_target(name, one, base, secret) for name, one in found.targets.items())
    targets = (*given, *own)
    refuse_twins(targets)
    known = [target.name for target in targets]
    routes = tuple(_route(one, known, [target.name for target in given]) for one in found.routes)
    own_rates = {
        name: Rate(one.throttle.per_minute, one.throttle.burst)
        for name, one in found.targets.items()
        if one.throttle is not None
    }
    return targets, Routing(routes, rates[0], rates[1], own_rates)


def parse_routes(text: str, name: str) -> _File:
    """Read the text of a routes file. Raises `Misconfigured`."""
    try:
        return _File.model_validate(yaml.load(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise Misconfigured(f"routes file {name}{line}: not YAML") from None
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'the file'}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)[:5]
        ]
        raise Misconfigured(f"routes file {name}: {'; '.join(faults)}") from None


def read_secret(path: Path) -> SecretStr:
    """Return the first line of a file. Raises `Misconfigured`."""
    try:
        line = path.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"secret file {path} can't be read: {type(error).__name__}") from None
    if not line:
        raise Misconfigured(f"secret file {path} is empty")
    return SecretStr(line)


def _target(name: str, one: _Target, base: Path, secret: SecretStr | None) -> Target:
    url = read_secret(base / one.url_file) if one.url_file else one.url
    assert url is not None, "validated: one of the two is there"
    own = read_secret(base / one.secret_file) if one.secret_file else secret
    return parse_target(name, url.get_secret_value(), own)


def _route(one: _Route, known: list[str], given: list[str]) -> Route:
    escalation = None
    if one.escalate is not None:
        targets = _named(one, one.escalate.to, known, given)
        if twice := set(targets) & set(_named(one, one.to, known, given)):
            raise Misconfigured(
                f"routes file, route {one.name}: {min(twice)} is told at once already, "
                "so that it can't be escalated to"
            )
        escalation = Escalation(one.escalate.after, targets)
    quiet = None
    if one.quiet is not None:
        days = frozenset(DAYS.index(day) for day in one.quiet.days) or EVERY_DAY
        quiet = QuietHours(
            one.quiet.begins, one.quiet.ends, one.zone, days, frozenset(one.quiet.severity)
        )
    return Route(
        name=one.name,
        targets=_named(one, one.to, known, given),
        match=Match(one.match.severity, one.match.tag, one.match.tenant, one.match.rule),
        quiet=quiet,
        digest=one.digest,
        digest_at=one.digest_at,
        zone=one.zone,
        escalation=escalation,
        rule_rate=Rate(one.throttle.per_minute, one.throttle.burst) if one.throttle else None,
    )


def _named(
    one: _Route, names: tuple[str, ...], known: list[str], given: list[str]
) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        if name != ALL and name not in known:
            raise Misconfigured(
                f"routes file, route {one.name}: there is no target {name!a}; there are "
                f"{', '.join(known) or 'none'}"
            )
        found += given if name == ALL else [name]
    return tuple(dict.fromkeys(found))
