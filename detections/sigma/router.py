"""Routing: which rules an event is shown to, by the log that it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, get_args

from detections.rule import Derived, Fields
from detections.sigma.compiled import Compiler, interpret
from detections.sigma.index import Index
from detections.sigma.look import Look
from detections.sigma.narrow import RULES_MAX as NARROWED_RULES_MAX
from detections.sigma.narrow import Narrowed
from detections.sigma.predicates import Test
from detections.sigma.ruleset import Logsource
from detections.sigma.tree import Leaf, Tree, all_of, any_of, fold
from detections.sigma.view import NATIVE, SOURCES, Source
from schemas.actions import Category

CATEGORIES: Final = frozenset(get_args(Category))
"""The eight kinds of the platform; a rule's category that is none of them says nothing here."""

_SERVICES: Final = frozenset(source.service for source in SOURCES if source.service)


class Entry(NamedTuple):
    """One rule as the router sees it; entries are numbered by their place."""

    logsource: Logsource
    tree: Tree


def is_for_source(logsource: Logsource, source: Source) -> bool:
    """Say whether a rule looks at records of a foreign log."""
    category, product, service = logsource
    if product:
        return product == source.product and service in ("", source.service or service)
    return category not in CATEGORIES and (
        service == source.service if service in _SERVICES else not service
    )


def is_for_native(logsource: Logsource, category: str) -> bool:
    """Say whether a rule looks at the platform's own events of a category."""
    wanted, product, service = logsource
    if product not in ("", NATIVE) or (not product and service in _SERVICES):
        return False
    return not wanted or wanted == category or (not product and wanted not in CATEGORIES)


class Route:
    """The rules for one kind of event behind their index."""

    def __init__(
        self, trees: Mapping[int, Tree], tests: Mapping[int, Test], *, is_native: bool
    ) -> None:
        self.trees: Final = trees
        self.index: Final = Index(trees, is_native=is_native)
        self._tests = tests
        self._is_native = is_native
        self.candidates = 0
        self.events = 0

    def match(self, doc: Mapping[str, Any], derived: Derived) -> Sequence[int]:
        """Return the rules that match, in order. Total."""
        self.events += 1
        candidates = self.index.candidates(doc, derived)
        if not candidates:
            return candidates
        self.candidates += len(candidates)
        look = Look(doc, derived, is_native=self._is_native)
        tests = self._tests
        return [number for number in candidates if tests[number](look)]

    def full_scan(self, doc: Mapping[str, Any], derived: Derived) -> list[int]:
        """Return the same by trying every rule: the oracle of the index."""
        look = Look(doc, derived, is_native=self._is_native)
        return [number for number, tree in self.trees.items() if interpret(tree, look)]


class NativeRoute(Route):
    """The rules for our own events of one category, narrowed by what settles most of them."""

    def __init__(self, trees: Mapping[int, Tree], tests: Mapping[int, Test]) -> None:
        super().__init__(trees, tests, is_native=True)
        self._narrowed = Narrowed(trees) if len(trees) <= NARROWED_RULES_MAX else None

    def match(self, doc: Mapping[str, Any], derived: Derived) -> Sequence[int]:
        """Return the rules that match, as `Route.match` promises."""
        rest = self._narrowed.rest_of(doc, derived) if self._narrowed else None
        if rest is None:
            return super().match(doc, derived)
        self.events += 1
        sure, finder, glance, tests = rest
        if glance:
            sure, asked = glance.see(doc, derived)
        else:
            assert finder is not None, "one of the two is there"
            asked = [(number, tests[number]) for number in finder.candidates(doc, derived)]
        if not asked:
            return sure
        self.candidates += len(asked)
        look = Look(doc, derived, is_native=True)
        found = [number for number, test in asked if test(look)]
        return sorted((*sure, *found)) if found else sure


class Router:
    """All rules, compiled once, and a route for every kind of event that some rule is for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._native = [_in_native(entry) for entry in entries]
        compiler = Compiler(entry.tree for entry in entries)
        self.predicates: Final = compiler.predicates
        self._tests = {n: compiler.compile(entry.tree) for n, entry in enumerate(entries)}
        ours = [n for n, entry in enumerate(entries) if entry.logsource.product in ("", NATIVE)]
        native = Compiler((self._native[n] for n in ours), is_native=True)
        self._tests_native = {n: native.compile(self._native[n]) for n in ours}
        self._by_category = {kind: self._native_route(kind) for kind in CATEGORIES}
        self._elsewhere = self._native_route("")
        self._by_prefix = {
            source.prefix: (source.key, route)
            for source in SOURCES
            if (route := self.source_route(source))
        }

    def match(self, fields: Fields, derived: Derived) -> list[int]:
        """Return the rules that match an event as ours, or as the foreign record in it."""
        return [*self.find(fields, derived)]

    def find(self, fields: Fields, derived: Derived) -> Sequence[int]:
        """Return the same; as a tuple where such events have been answered before."""
        route = self._by_category.get(derived.category, self._elsewhere)
        found = route.match(fields, derived) if route else ()
        foreign = self._by_prefix.get(fields["action"].partition(".")[0])
        if foreign and isinstance(details := fields.get("details"), dict):
            key, route = foreign
            if isinstance(record := details.get(key), dict):
                found = _join(found, route.match(record, derived))
        return found

    def full_scan(self, fields: Fields, derived: Derived) -> list[int]:
        """Return the same by trying every rule that is for such events: the oracle."""
        look = Look(fields, derived, is_native=True)
        found = [
            number
            for number, (logsource, _) in enumerate(self._entries)
            if is_for_native(logsource, derived.category) and interpret(self._native[number], look)
        ]
        for source in SOURCES:
            record = (fields.get("details") or {}).get(source.key)
            if fields["action"].partition(".")[0] == source.prefix and isinstance(record, dict):
                look = Look(record, derived, is_native=False)
                found += [
                    number
                    for number, (logsource, tree) in enumerate(self._entries)
                    if is_for_source(logsource, source) and interpret(tree, look)
                ]
        return sorted(set(found))

    def source_route(self, source: Source) -> Route | None:
        """Return the route of a foreign log; None if no rule is for it."""
        return self._route(
            number
            for number, (logsource, _) in enumerate(self._entries)
            if is_for_source(logsource, source)
        )

    def whole(self) -> Route | None:
        """Return a route that shows every rule to every record, whatever the log."""
        return self._route(range(len(self._entries)))

    def routes(self) -> list[Route]:
        """Return all routes, for their counts."""
        native = [*self._by_category.values(), self._elsewhere]
        return [route for route in native if route] + [r for _, r in self._by_prefix.values()]

    def _route(self, numbers: Iterable[int]) -> Route | None:
        trees = {number: self._entries[number].tree for number in numbers}
        return Route(trees, self._tests, is_native=False) if trees else None

    def _native_route(self, category: str) -> Route | None:
        trees = {
            number: self._native[number]
            for number in self._tests_native
            if is_for_native(self._entries[number].logsource, category)
        }
        return NativeRoute(trees, self._tests_native) if trees else None


def _in_native(entry: Entry) -> Tree:
    """Return a rule's tree for our own events, whose `source` is the service."""
    (_, product, service), tree = entry
    if not service or product not in ("", NATIVE) or (not product and service in _SERVICES):
        return tree
    same = Leaf("source", "equals", frozenset((fold(service),)))
    if product:
        return all_of([same, tree])
    return all_of([any_of([same, Leaf("source", "null")]), tree])  # fails open


def _join(found: Sequence[int], more: Sequence[int]) -> Sequence[int]:
    return sorted({*found, *more}) if found and more else found or more
