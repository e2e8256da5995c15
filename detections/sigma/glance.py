"""What a glance at a few fields settles of the rules that are left for events of one key.

Most conditions ask whether a field is there at all, or what kind of text one of a few well-known
fields has. A glance sees that much of each field that ever decided a rule; what it amounts to is
worked out once for each combination of sights. What a glance does not settle is asked as ever.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from detections.facts import FACTS
from detections.rule import Derived
from detections.sigma.look import Look
from detections.sigma.predicates import Test, to_test
from detections.sigma.settling import settle
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or, Tree, walk
from detections.sigma.view import is_plain, reader

KINDS_MAX: Final = 32  # combinations known of one key; the events of others are asked everything
MARKS_MAX: Final = 12  # fields looked at; more would cost what they save
TEXTS_MAX: Final = 2_048  # known of one field
TEXT_LENGTH_MAX: Final = 512  # of one that is worth remembering

# Fields of few values: what all rules ask of such a text is known once it has been seen.
FEW: Final = frozenset(
    {"user", "user_agent", "client", "country", "as_name", "department", "on_behalf_of"}
)
_PRESENCE: Final = frozenset({"null", "exists", "filled"})
_OPEN: Final = -1  # the sight of what is no text: nothing is settled

# None: absent. Else whether a text is filled; of `FEW`, with a bit for each leaf that holds.
_Sight = int | None
Mark = Callable[[Mapping[str, Any], Derived], _Sight]


class Kind(NamedTuple):
    """What is left of the rules for the events that a glance can't tell apart."""

    sure: tuple[int, ...]  # in order
    asked: Sequence[tuple[int, Test]]


class Marks(dict[str, Mark]):
    """What looks at each field, made when first wanted; those of one category share them."""

    def __init__(self, trees: Iterable[Tree]) -> None:
        super().__init__()
        leaves = dict.fromkeys(leaf for tree in trees for leaf in walk(tree))
        self._leaves = [
            leaf
            for leaf in leaves
            if leaf.field in FEW and leaf.kind not in (*_PRESENCE, "same_as")
        ]

    def __missing__(self, field: str) -> Mark:
        leaves = [leaf for leaf in self._leaves if leaf.field == field]
        mark = _kind_mark(field, leaves) if leaves else _presence_mark(field)
        self[field] = mark
        return mark


class Glance:
    """What is left of some rules, by a glance at an event."""

    def __init__(
        self,
        sure: tuple[int, ...],
        trees: Mapping[int, Tree],
        tests: Mapping[int, Test],
        marks: Marks,
    ) -> None:
        self._trees = trees
        self._tests = tests
        self._all_marks = marks
        self._unknown = Kind(sure, tuple(tests.items()))
        self._places: dict[str, int] = {}
        self._marks: list[Mark] = []
        self._kinds: dict[tuple[_Sight, ...], Kind] = {}

    def see(self, doc: Mapping[str, Any], derived: Derived) -> Kind:
        """Return what is left for an event. Total."""
        key = tuple([mark(doc, derived) for mark in self._marks])
        return self._kinds.get(key) or self._learn(key, Look(doc, derived, is_native=True))

    def _learn(self, key: tuple[_Sight, ...], look: Look) -> Kind:
        if len(self._kinds) >= KINDS_MAX:
            return self._unknown
        sure, asked = [*self._unknown.sure], []
        for number, tree in self._trees.items():
            settled = settle(tree, lambda leaf: self._is_told(leaf, key), look)
            if settled is True:
                sure.append(number)
            elif settled is not False:
                asked.append(number)
        if self._widen([self._trees[number] for number in asked], look):
            return self.see(look.doc, look.derived)
        kind = Kind(tuple(sorted(sure)), [(number, self._tests[number]) for number in asked])
        self._kinds[key] = kind
        return kind

    def _is_told(self, leaf: Leaf, key: tuple[_Sight, ...]) -> bool:
        place = self._places.get(leaf.field)
        return place is not None and _tells(leaf, key[place])

    def _widen(self, trees: Iterable[Tree], look: Look) -> bool:
        """Look at more fields, those that would have settled these trees; say if there are any."""
        proofs = [_prove(tree, look, self._all_marks)[1] or () for tree in trees]
        wanted = sorted({field for proof in proofs for field in proof} - self._places.keys())
        added = wanted[: MARKS_MAX - len(self._marks)]
        for field in added:
            self._places[field] = len(self._marks)
            self._marks.append(self._all_marks[field])
        if added:
            self._kinds.clear()  # their keys are too short now; at most as often as marks come
        return bool(added)


def _presence_mark(field: str) -> Mark:
    read = reader(field, is_native=True)
    head, _, tail = field.partition(".")
    if is_plain(field, is_native=True):  # as `mark`, without a call more

        def glimpse(doc: Mapping[str, Any], _derived: Derived) -> _Sight:
            value = doc.get(field)
            if value is None:
                return None
            return bool(value) if type(value) is str else _OPEN

        return glimpse

    def mark(doc: Mapping[str, Any], derived: Derived) -> _Sight:
        if tail:  # nearly all lack what rules ask of the details
            node = doc.get(head)
            if type(node) is dict and tail not in node and "." not in tail and field not in doc:
                return None
        value = read(doc, derived)
        if value is None:
            return None
        return bool(value) if type(value) is str else _OPEN

    return mark


def _kind_mark(field: str, leaves: Sequence[Leaf]) -> Mark:
    read = reader(field, is_native=True)
    tests = [to_test(leaf) for leaf in leaves]
    known: dict[str, int] = {}

    def mark(doc: Mapping[str, Any], derived: Derived) -> _Sight:
        value = read(doc, derived)
        if type(value) is not str:
            return None if value is None else _OPEN
        sight = known.get(value)
        if sight is None:
            look = Look(doc, derived, is_native=True)
            bits = [bool(value), *(test(look) for test in tests)]
            sight = sum(bit << place for place, bit in enumerate(bits))
            if len(value) <= TEXT_LENGTH_MAX:
                if len(known) >= TEXTS_MAX:
                    known.clear()
                known[value] = sight
        return sight

    return mark


def _tells(leaf: Leaf, sight: _Sight) -> bool:
    """Say whether all events with this sight of a leaf's field get the same answer of it."""
    if leaf.kind == "same_as" or sight == _OPEN:
        return False
    return sight is None or leaf.kind in _PRESENCE or leaf.field in FEW


_Proof = tuple[bool, frozenset[str] | None]


def _prove(tree: Tree, look: Look, marks: Marks) -> _Proof:
    """Judge an event by a tree, and name few fields whose sights say as much; None if none do."""
    match tree:
        case Leaf(field):
            is_open = not field or field in FACTS
            is_told = not is_open and _tells(tree, marks[field](look.doc, look.derived))
            return to_test(tree)(look), frozenset({field}) if is_told else None
        case Not(part):
            holds, proof = _prove(part, look, marks)
            return not holds, proof
        case And(parts) | Or(parts):
            decisive = isinstance(tree, Or)
            proofs = [_prove(part, look, marks) for part in parts]
            deciding = [proof for holds, proof in proofs if holds is decisive]
            if deciding:
                known = [proof for proof in deciding if proof is not None]
                return decisive, min(known, key=len, default=None)
            whole = [proof for _, proof in proofs if proof is not None]
            is_whole = len(whole) == len(proofs)
            return not decisive, frozenset().union(*whole) if is_whole else None
        case AtLeast():
            return False, None  # rare; it is asked
