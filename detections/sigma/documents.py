"""YAML files into documents with their line numbers: bounded, no key twice, no alias bombs."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import yaml

from detections.sigma.faults import BadRule

FILE_BYTES_MAX: Final = 1_048_576  # the longest rule of SigmaHQ has 40 KB
DOCUMENTS_MAX: Final = 1_000  # of one file
NODES_MAX: Final = 50_000  # of one document with its aliases unfolded
DEPTH_MAX: Final = 32  # Sigma itself needs 6
LINES_DEPTH_MAX: Final = 2  # keys that deep are found again by line

_Event = Any  # PyYAML's event classes have no types
_Value = Any  # whatever YAML can say

_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = (None, "!", f"{_TAG}str")
_PLAIN_TAGS: Final = frozenset(f"{_TAG}{kind}" for kind in ("bool", "int", "float", "null"))
_RESOLVERS: Final[dict[str, list[tuple[str, re.Pattern[str]]]]] = (
    yaml.resolver.Resolver.yaml_implicit_resolvers
)


class Document(NamedTuple):
    """One YAML mapping; `lines` tells where its upper keys stand ("detection.selection")."""

    value: dict[str, Any]
    line: int
    lines: dict[str, int]

    def line_of(self, at: str) -> int:
        """Return the line of a part, or of what it lies in."""
        while at and at not in self.lines:
            at = at.rpartition(".")[0]
        return self.lines.get(at, self.line)


def read_documents(text: str | bytes) -> Iterator[Document | BadRule]:
    """Yield the documents of a file; a fault ends it, since what follows can't be trusted."""
    if len(text) > FILE_BYTES_MAX:
        yield BadRule("the file is larger than 1 MiB", line=1)
        return
    try:
        loader = yaml.CSafeLoader(text.decode() if isinstance(text, bytes) else text)
        try:
            yield from _Reader(loader).documents()
        finally:
            loader.dispose()
    except UnicodeError:
        yield BadRule("the file is not UTF-8", line=1)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or "unreadable characters"
        yield BadRule(f"not YAML: {problem}", line=mark.line + 1 if mark else 1)
    except BadRule as fault:
        yield fault


class _Reader:
    """Builds plain values straight from the parser's events; half the time of a yaml Loader."""

    def __init__(self, loader: "yaml.CSafeLoader") -> None:
        self._next: Any = loader.get_event
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._lines: dict[str, int] = {}

    def documents(self) -> Iterator[Document]:
        count = 0
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            count += 1
            self._anchors, self._nodes, self._lines = {}, 0, {}
            first = self._next()
            line = first.start_mark.line + 1
            if count > DOCUMENTS_MAX:
                raise BadRule(f"more than {DOCUMENTS_MAX} documents in one file", line=line)
            value = self._build(first, 0, "")
            if isinstance(value, dict):
                yield Document(value, line, self._lines)
            elif value is not None:  # an empty document, as a trailing `---` leaves it
                raise BadRule("a rule must be a mapping", line=line)

    def _build(self, event: _Event, depth: int, path: str) -> _Value:
        self._nodes += 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise BadRule("too many or too deep values", line=event.start_mark.line + 1)
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value: _Value = _read_scalar(event)
        elif kind is yaml.AliasEvent:
            return self._unfold(event)
        else:
            if event.tag not in (None, "!", f"{_TAG}map", f"{_TAG}seq"):
                raise BadRule("a tag that Sigma doesn't know", line=event.start_mark.line + 1)
            before = self._nodes - 1
            many = self._mapping if kind is yaml.MappingStartEvent else self._sequence
            value = many(depth, path)
            if event.anchor:
                self._anchors[event.anchor] = (value, self._nodes - before)
            return value
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        return value

    def _unfold(self, event: _Event) -> _Value:
        if event.anchor not in self._anchors:
            raise BadRule("an alias of nothing, or of itself", line=event.start_mark.line + 1)
        value, size = self._anchors[event.anchor]
        self._nodes += size
        if self._nodes > NODES_MAX:
            raise BadRule("aliases unfold to too many values", line=event.start_mark.line + 1)
        return value

    def _sequence(self, depth: int, path: str) -> list[Any]:
        values = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            values.append(self._build(event, depth + 1, path))
        return values

    def _mapping(self, depth: int, path: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while type(event := self._next()) is not yaml.MappingEndEvent:
            line = event.start_mark.line + 1
            key = self._build(event, depth + 1, "")
            if type(key) is not str:
                raise BadRule("a key that is not a text; quote it", line=line)
            if key in values:
                raise BadRule(f"the key {key[:80]!r} twice", line=line)
            if key == "<<":
                raise BadRule("merge keys are not part of Sigma", line=line)
            at = f"{path}.{key}" if path else key
            if depth < LINES_DEPTH_MAX:
                self._lines[at] = line
            values[key] = self._build(self._next(), depth + 1, at)
        return values


def _read_scalar(event: _Event) -> str | int | float | bool | None:
    if event.implicit[0]:  # plain: what it looks like decides
        return _read_plain(event.value)
    if event.tag in _TEXT_TAGS:
        return str(event.value)
    if event.tag in _PLAIN_TAGS:
        return _construct(event.tag, event.value)
    raise BadRule("a tag that Sigma doesn't know", line=event.start_mark.line + 1)


@lru_cache(maxsize=4096)
def _read_plain(text: str) -> str | int | float | bool | None:
    for tag, pattern in _RESOLVERS.get(text[:1], ()):
        if pattern.match(text):
            # dates stay texts: pySigma reads them itself, and an event has them as texts
            return _construct(tag, text) if tag in _PLAIN_TAGS else text
    return text


def _construct(tag: str, text: str) -> str | int | float | bool | None:
    kind = tag.removeprefix(_TAG)
    construct = getattr(yaml.constructor.SafeConstructor(), f"construct_yaml_{kind}")
    try:
        value: str | int | float | bool | None = construct(yaml.ScalarNode(tag, text))
    except (ValueError, KeyError):
        return text
    return value
