"""One event while rules look at it: each field read once, each shared predicate judged once."""

from collections.abc import Mapping
from typing import Any, Final

from detections.rule import Derived
from detections.sigma.tree import fold
from detections.sigma.view import Read, reader, strings_of, texts_of


class _Reads(dict[str, Read]):
    """What reads each field of one kind of event, found once."""

    def __init__(self, *, is_native: bool) -> None:
        super().__init__()
        self._is_native = is_native

    def __missing__(self, field: str) -> Read:
        read = reader(field, is_native=self._is_native)
        self[field] = read
        return read


_NATIVE: Final = _Reads(is_native=True)
_FOREIGN: Final = _Reads(is_native=False)


class Look:
    """One event under one view. Lives as long as the event is judged, and belongs to one thread."""

    __slots__ = ("_folded", "_reads", "_texts", "derived", "doc", "memo")

    def __init__(self, doc: Mapping[str, Any], derived: Derived, *, is_native: bool) -> None:
        self.doc = doc
        self.derived = derived
        self.memo: dict[int, bool] = {}
        self._reads = _NATIVE if is_native else _FOREIGN
        self._texts: dict[str, tuple[str, ...]] = {}
        self._folded: dict[str, tuple[str, ...]] = {}

    def texts(self, field: str) -> tuple[str, ...]:
        """Return the values of a field as they are; field '' is all texts of the event."""
        if field in self._texts:
            return self._texts[field]
        if field:
            value = self._reads[field](self.doc, self.derived)
            texts = () if value is None else texts_of(value)
        else:
            texts = tuple(strings_of(self.doc))
        self._texts[field] = texts
        return texts

    def folded(self, field: str) -> tuple[str, ...]:
        """Return the values of a field as most rules compare them."""
        if field in self._folded:
            return self._folded[field]
        texts = self.texts(field)
        if len(texts) == 1:
            texts = (fold(texts[0]),)
        elif texts:
            texts = tuple([fold(text) for text in texts])
        self._folded[field] = texts
        return texts
