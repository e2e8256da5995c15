"""The index: from one event to the few rules that could match it, in one pass over its fields."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import ahocorasick
import orjson

from detections.rule import Derived
from detections.sigma.tree import Tree, fold
from detections.sigma.view import Read, is_plain, reader, texts_of
from detections.sigma.witness import Prices, Witness

SEARCHED_MAX: Final = 24  # needles that are faster found one by one than by an automaton
PROBES_MAX: Final = 16  # fields that are faster asked one by one than by the event's own keys

_Found = list[int]
_Scan = Callable[[str, _Found], None]


class _Probe(NamedTuple):
    """What is asked of one field; every value gives rules (their numbers)."""

    read: Read
    exact: Mapping[str, Sequence[int]]
    scan: _Scan | None
    present: Sequence[int]


class _PlainProbe(NamedTuple):
    """The same of a field that is simply a key of the event."""

    key: str
    exact: Mapping[str, Sequence[int]]
    scan: _Scan | None
    present: Sequence[int]


class Index:
    """Candidates for the events of one view.

    `always` are the rules that no fact tells: they are candidates for every event.
    """

    def __init__(self, trees: Mapping[int, Tree], *, is_native: bool) -> None:
        prices = Prices(trees.values())
        grouped: dict[str, dict[Witness, list[int]]] = {}
        always: list[int] = []
        for number, tree in trees.items():
            facts = prices.choose(tree)
            if not facts:
                always.append(number)
            for fact in facts:
                grouped.setdefault(fact.field, {}).setdefault(fact, []).append(number)
        keywords = grouped.pop("", {})
        self.always: Final = tuple(always)
        self.fields: Final = tuple(sorted(grouped))
        self._keywords = {number for numbers in keywords.values() for number in numbers}
        self._scan_all = _to_scan({_as_json(fact.text): who for fact, who in keywords.items()})
        self._plain: list[_PlainProbe] = []
        self._reached: list[_Probe] = []
        self._by_head: dict[str, list[_Probe]] = {}
        for field, facts_there in grouped.items():
            parts = _to_parts(facts_there)
            read = reader(field, is_native=is_native)
            if is_plain(field, is_native=is_native):
                self._plain.append(_PlainProbe(field, *parts))
            else:
                self._reached.append(_Probe(read, *parts))
            for head in {field, field.partition(".")[0]}:
                self._by_head.setdefault(head, []).append(_Probe(read, *parts))
        self._heads = self._by_head.keys()
        self._is_wide = len(grouped) > PROBES_MAX and not is_native

    def candidates(self, doc: Mapping[str, Any], derived: Derived) -> list[int]:
        """Return every rule that may match, each once, in order. Total."""
        # a method kept in here would be a circle: an index that is not needed any more must go
        found = (self._ask_by_keys if self._is_wide else self._ask_all)(doc, derived)
        if self._scan_all:
            self._scan_keywords(doc, found)
        return found if len(found) <= 1 else sorted(set(found))

    def _ask_by_keys(self, doc: Mapping[str, Any], derived: Derived) -> _Found:
        found = [*self.always]
        by_head = self._by_head
        for head in self._heads & doc.keys():
            for read, exact, scan, present in by_head[head]:
                value = read(doc, derived)
                if value is not None:
                    _probe(value, exact, scan, present, found)
        return found

    def _ask_all(self, doc: Mapping[str, Any], derived: Derived) -> _Found:
        found = [*self.always]
        get = doc.get
        for key, exact, scan, present in self._plain:
            value = get(key)
            if type(value) is str:  # nearly all are: the way of `_probe` without a call
                text = value.lower()
                if not text.isascii():
                    text = fold(value)
                if text in exact:
                    found += exact[text]
                if scan:
                    scan(text, found)
                found += present
            elif value is not None:
                _probe(value, exact, scan, present, found)
        for read, exact, scan, present in self._reached:
            value = read(doc, derived)
            if value is not None:
                _probe(value, exact, scan, present, found)
        return found

    def _scan_keywords(self, doc: Mapping[str, Any], found: _Found) -> None:
        assert self._scan_all
        try:
            text = orjson.dumps(doc).decode()  # all texts at once; the keys are a few too many
        except (TypeError, ValueError, RecursionError):
            found.extend(self._keywords)
        else:
            self._scan_all(fold(text), found)


_Json = Any  # any JSON value


def _probe(
    value: _Json,
    exact: Mapping[str, Sequence[int]],
    scan: _Scan | None,
    present: Sequence[int],
    found: _Found,
) -> None:
    texts = texts_of(value)
    for given in texts:
        text = fold(given)
        if text in exact:
            found += exact[text]
        if scan:
            scan(text, found)
    if present and texts:
        found += present


def _as_json(text: str) -> str:
    """Spell a keyword as it stands inside a JSON text."""
    try:
        return orjson.dumps(text).decode()[1:-1]
    except TypeError:  # half of a surrogate pair: no event has it either
        return text


def _to_parts(
    facts: Mapping[Witness, list[int]],
) -> tuple[Mapping[str, Sequence[int]], _Scan | None, Sequence[int]]:
    exact = {fact.text: tuple(who) for fact, who in facts.items() if fact.kind == "is"}
    scan = _to_scan({fact.text: who for fact, who in facts.items() if fact.kind == "has"})
    present = [n for fact, who in facts.items() if fact.kind == "present" for n in who]
    return exact, scan, tuple(present)


def _to_scan(needles: Mapping[str, list[int]]) -> _Scan | None:
    """Return what finds all needles in a text: one by one if they are few, else Aho-Corasick."""
    if not needles:
        return None
    if len(needles) <= SEARCHED_MAX:
        pairs = [(needle, tuple(who)) for needle, who in needles.items()]

        def search(text: str, found: _Found) -> None:
            for needle, who in pairs:
                if needle in text:
                    found += who

        return search
    automaton = ahocorasick.Automaton()
    for needle, who in needles.items():
        automaton.add_word(needle, tuple(who))
    automaton.make_automaton()
    find = automaton.iter

    def scan(text: str, found: _Found) -> None:
        for _end, who in find(text):
            found += who

    return scan
