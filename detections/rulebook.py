"""The tests that stand beside rules: events and timelines that must, or must not, raise an alert.

A file `<name>.test.yml` has two lists, `match` and `no_match`. An entry is an event, or a
timeline: `{name, events: [...], alerts: n}`. An event may leave out what does not matter; beside
its own fields it has `at` ("+5m" from the start, or RFC 3339), `repeat` and `every`, with {n} in
any text counting from 1, `derived` for what stage 1 would know (country, protected, …), and a
foreign record under the name of its log (`cloudtrail: {...}`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from detections.hours import Hours
from detections.rule import Derived, Fields
from detections.sigma.documents import Document, read_documents
from detections.sigma.ruleset import RuleFile
from detections.sigma.view import SOURCES
from detections.words import walk
from schemas.catalogue import category_of, result_of, verb_of
from schemas.errors import BadEvent

START: Final = datetime(2026, 3, 4, 10, tzinfo=UTC)  # a Wednesday, in working hours
USER: Final = "jane.doe@company.com"
REPEAT_MAX: Final = 5_000
EVENTS_MAX: Final = 20_000  # of one timeline
SPAN_MAX: Final = timedelta(days=400)
CASES_MAX: Final = 1_000  # of one file

_SPAN: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h|d|w)")
_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_OWN: Final = frozenset({"at", "repeat", "every", "derived"})
_FOREIGN: Final = {source.key: source for source in SOURCES}
NO_TESTS: Final = ("there are no tests",)
_MATCH: Final = "match"
_NO_MATCH: Final = "no_match"
_HOURS: Final = Hours()


class Given(NamedTuple):
    """One event of a test, as stage 1 would see it."""

    fields: Fields
    derived: Derived
    occurred_ms: int


@dataclass(frozen=True, slots=True)
class Case:
    """One test: these events in this order raise so many alerts of the rule; None is any."""

    name: str
    is_match: bool
    events: tuple[Given, ...]
    alerts: int | None


@dataclass(frozen=True, slots=True)
class RuleTests:
    """The tests of one file; `faults` say what could not be read ("line 3: ...")."""

    path: str
    cases: tuple[Case, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The path of the rules' file without its ending: what joins the two."""
        return stem_of(self.path)


def stem_of(path: str) -> str:
    """Return a path without `.test` and `.yml`."""
    pure = PurePath(path)
    return str(pure.with_name(pure.name.partition(".")[0]))


def read_tests(file: RuleFile) -> RuleTests:
    """Read a file of tests. Total: what is wrong stands in `faults`."""
    documents = list(read_documents(file.text))
    if len(documents) != 1 or not isinstance(documents[0], Document):
        reasons = [str(fault) for fault in documents if not isinstance(fault, Document)]
        return RuleTests(file.path, faults=tuple(reasons) or ("one YAML document expected",))
    content = documents[0].value
    faults = [f"{key}: there is no such list" for key in content if key not in (_MATCH, _NO_MATCH)]
    cases: list[Case] = []
    for key in (_MATCH, _NO_MATCH):
        entries = content.get(key)
        if not isinstance(entries, list) or not 0 < len(entries) <= CASES_MAX:
            faults.append(f"{key}: a list of 1 to {CASES_MAX} events or timelines expected")
            continue
        for number, entry in enumerate(entries, 1):
            try:
                cases.append(_case(entry, f"{key} {number}", is_match=key == _MATCH))
            except BadEvent as fault:
                faults.append(f"{key} {number}: {fault.reason} {fault.hint}".rstrip())
    return RuleTests(file.path, tuple(cases), tuple(faults))


def _case(entry: object, name: str, *, is_match: bool) -> Case:
    if not isinstance(entry, dict):
        raise BadEvent("entry", "not_a_mapping")
    if "events" not in entry:
        return Case(_name_event(entry, name), is_match, tuple(_given(entry)), None)
    if unknown := set(entry) - {"name", "events", "alerts"}:
        raise BadEvent(min(map(str, unknown)), "unknown", "a timeline has name, events, alerts")
    events = entry["events"]
    if not isinstance(events, list) or not events:
        raise BadEvent("events", "not_a_list")
    given = [one for event in events for one in _given(event)]
    if len(given) > EVENTS_MAX:
        raise BadEvent("events", "too_many", f"at most {EVENTS_MAX:,}")
    alerts = entry.get("alerts", 1 if is_match else 0)
    if type(alerts) is not int or (alerts > 0) != is_match:
        raise BadEvent("alerts", "not_a_count", "above 0 under match, 0 under no_match")
    return Case(str(entry.get("name", name)), is_match, tuple(given), alerts)


def _name_event(entry: Mapping[str, Any], name: str) -> str:
    action = entry.get("action")
    return f"{name}: {action}" if isinstance(action, str) else name


def _given(event: object) -> Iterator[Given]:
    """Unfold one event of a test. Raises `BadEvent`."""
    if not isinstance(event, dict):
        raise BadEvent("event", "not_a_mapping")
    repeat = event.get("repeat", 1)
    if type(repeat) is not int or not 1 <= repeat <= REPEAT_MAX:
        raise BadEvent("repeat", "not_a_count", f"1 to {REPEAT_MAX:,}")
    first = moment_of(event.get("at", "+0s"))
    every = span_of(event["every"]) if "every" in event else timedelta(seconds=1)
    for number in range(1, repeat + 1):
        own = {name: value for name, value in event.items() if name not in _OWN}
        derived = event.get("derived") or {}
        yield build(_numbered(own, number), _numbered(derived, number), first)
        first += every


def moment_of(text: object) -> datetime:
    """Read "+5m" from `START`, or RFC 3339. Raises `BadEvent`."""
    if isinstance(text, str) and text.startswith("+"):
        return START + span_of(text[1:])
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadEvent("at", "not_a_time", "+5m, or RFC 3339")
    return moment.astimezone(UTC)


def span_of(text: object, longest: timedelta = SPAN_MAX) -> timedelta:
    """Read a span such as 90s, 5m or 14d. Raises `BadEvent`."""
    found = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise BadEvent("span", "not_a_span", "a number and ms, s, m, h, d or w")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > longest.total_seconds():
        raise BadEvent("span", "too_long", f"at most {longest.days} days")
    return timedelta(seconds=seconds)


def _numbered(value: Any, number: int) -> Any:  # noqa: ANN401 - YAML's values
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    if isinstance(value, dict):
        return {name: _numbered(part, number) for name, part in value.items()}
    if isinstance(value, list):
        return [_numbered(part, number) for part in value]
    return value


def build(event: Mapping[str, Any], known: Mapping[str, Any], moment: datetime) -> Given:
    """Return an event with what follows from it; `known` is what a lookup would say of it.

    Raises `BadEvent` for a derived name that there is not.
    """
    fields: dict[str, Any] = {"user": USER, **event}
    for key, source in _FOREIGN.items():
        if isinstance(record := fields.get(key), dict):
            del fields[key]
            fields.setdefault("action", f"{source.prefix}.event.recorded")
            fields["details"] = {key: record}
    action = fields.setdefault("action", "test.event.recorded")
    if not isinstance(action, str) or not isinstance(fields["user"], str):
        raise BadEvent("action", "not_a_text")
    fields["timestamp"] = moment.isoformat()
    occurred = f"{moment:%Y-%m-%d %H:%M:%S.%f}"
    derived = Derived(
        occurred=occurred,
        category=category_of(action),
        verb=verb_of(action),
        result=str(fields.get("result") or result_of(action)),
        role=str(fields.get("role") or ""),
        department="",
        user_status="",
        country="",
        asn=0,
        as_name="",
        client="",
        data_class="",
        is_protected=False,
        has_changes=_has_changes(fields.get("details")),
        is_off_hours=_HOURS.is_off(occurred),
    )
    return Given(fields, _knowing(derived, known), round(moment.timestamp() * 1000))


_LONG_NAMES: Final = {"protected": "is_protected", "off_hours": "is_off_hours"}


def _knowing(derived: Derived, known: object) -> Derived:
    if not isinstance(known, Mapping):
        raise BadEvent("derived", "not_a_mapping")
    given = {_LONG_NAMES.get(name, name): value for name, value in known.items()}
    for name in given:
        if name not in Derived._fields:
            raise BadEvent("derived", "unknown", f"one of {', '.join(Derived._fields)}")
    tuples = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return derived._replace(**(given | tuples))


def _has_changes(details: object) -> bool:
    return any("before" in node or "after" in node for _, node in walk(details))


def beside(rules: Sequence[RuleFile], tests: Sequence[RuleFile]) -> dict[str, RuleTests]:
    """Read the tests of each file of rules, by the rules' path; none is missing from the answer."""
    found = {tests.stem: tests for tests in map(read_tests, tests)}
    return {
        file.path: found.get(stem_of(file.path), RuleTests(file.path, faults=NO_TESTS))
        for file in rules
    }
