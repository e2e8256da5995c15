"""The condition language: `selection and not 1 of filter_*`; bounded, so that no text can stall us.

pySigma's own parser knows no `2 of …` and takes exponential time on some texts; a test holds
that both give the same tree for every rule of SigmaHQ.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

import re2

from detections.sigma.faults import BadRule
from detections.sigma.tree import Tree, all_of, any_of, at_least, none_of

LENGTH_MAX: Final = 16_384  # characters
TOKENS_MAX: Final = 2_000  # SigmaHQ's longest has 60
NESTING_MAX: Final = 32

AT: Final = "detection.condition"
_TOKEN: Final = re.compile(r"\s*(?:([()])|([^\s()]+))")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_PATTERN: Final = re.compile(r"[A-Za-z0-9_*-]+")
_WORDS: Final = frozenset({"and", "or", "not", "of"})

Resolve = Callable[[str], Tree]


class _Parser:
    """Recursive descent over the tokens of one condition: or < and < not."""

    def __init__(self, tokens: Sequence[str], names: Sequence[str], resolve: Resolve) -> None:
        self._tokens = [*tokens, ""]
        self._at = 0
        self._names = names
        self._resolve = resolve

    def whole(self) -> Tree:
        tree = self._either(0)
        if self._tokens[self._at]:
            raise BadRule(f"{self._tokens[self._at][:40]!r} is not expected here", AT)
        return tree

    def _take(self) -> str:
        token = self._tokens[self._at]
        if not token:
            raise BadRule("the condition ends too early", AT)
        self._at += 1
        return token

    def _accept(self, word: str) -> bool:
        found = self._tokens[self._at].lower() == word
        self._at += found
        return found

    def _either(self, nesting: int) -> Tree:
        parts = [self._both(nesting)]
        while self._accept("or"):
            parts.append(self._both(nesting))
        return any_of(parts) if len(parts) > 1 else parts[0]

    def _both(self, nesting: int) -> Tree:
        parts = [self._one(nesting)]
        while self._accept("and"):
            parts.append(self._one(nesting))
        return all_of(parts) if len(parts) > 1 else parts[0]

    def _one(self, nesting: int) -> Tree:
        if nesting > NESTING_MAX:
            raise BadRule(f"nested deeper than {NESTING_MAX} levels", AT)
        if self._accept("not"):
            return none_of(self._one(nesting + 1))
        if self._accept("("):
            inner = self._either(nesting + 1)
            if not self._accept(")"):
                raise BadRule("a parenthesis is not closed", AT)
            return inner
        token = self._take()
        if self._tokens[self._at].lower() == "of":
            self._at += 1
            return self._quantified(token, self._take())
        if token.lower() in _WORDS or not _NAME.fullmatch(token):
            raise BadRule(f"{token[:40]!r} is not expected here", AT)
        if token not in self._names:
            raise BadRule(f"names {token[:80]!r}, which is not defined", AT)
        return self._resolve(token)

    def _quantified(self, count: str, pattern: str) -> Tree:
        if not _PATTERN.fullmatch(pattern):
            raise BadRule(f"{pattern[:40]!r} is no pattern of names", AT)
        if pattern == "them":
            pattern = "*"
        glob = re2.compile(".*".join(re.escape(part) for part in pattern.split("*")))
        hidden = pattern.startswith("_")
        names = [
            name for name in self._names if glob.fullmatch(name) and (hidden or name[:1] != "_")
        ]
        if not names:
            raise BadRule(f"{count[:10]} of {pattern[:80]}: no selection has such a name", AT)
        parts = [self._resolve(name) for name in names]
        if count in ("1", "any"):
            return any_of(parts)
        if count == "all":
            return all_of(parts)
        if not count.isascii() or not count.isdigit() or not int(count[:6]) > 0:
            raise BadRule(f"{count[:40]!r} is not a number of selections", AT)
        return at_least(int(count[:6]), parts)


def parse_condition(text: object, names: Sequence[str], resolve: Resolve) -> Tree:
    """Build the tree of a condition; `resolve` gives that of one selection. Raises `BadRule`."""
    if not isinstance(text, str):
        raise BadRule("the condition must be a text", AT)
    if "|" in text:
        raise BadRule("`|` in a condition is not part of Sigma 2: write a correlation", AT)
    if len(text) > LENGTH_MAX:
        raise BadRule(f"the condition is longer than {LENGTH_MAX} characters", AT)
    tokens = [bracket or word for bracket, word in _TOKEN.findall(text)]
    if len(tokens) > TOKENS_MAX:
        raise BadRule(f"the condition has more than {TOKENS_MAX} words", AT)
    return _Parser(tokens, names, resolve).whole()
