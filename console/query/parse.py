"""From text to the tree: OR joins what AND joined, AND (or nothing) joins conditions, NOT is next.

query     = either
either    = all, {"OR", all}
all       = one, {["AND"], one}
one       = {"NOT" | "-"}, ("(", either, ")" | field | word)
field     = name, operator, (value | "(", values, ")")
values    = as either, of values; their AND must be written
"""

import re
from collections.abc import Callable
from typing import Final

from console.query.fault import QueryError
from console.query.fields import NAMES
from console.query.lexer import Kind, Lexer, Token
from console.query.tree import EVERYTHING, Node, all_of, either_of, not_of
from console.query.values import Place, node_of, place_of, word_of

TERMS_MAX: Final = 64  # each may read a column of its own
_NAMED: Final = re.compile(r"([A-Za-z_.]+)[:<>=!]", re.ASCII)
DEPTH_MAX: Final = 16  # of brackets; people lose count sooner


def parse(text: str) -> Node:
    """Read a query; an empty one holds for everything. Raises `QueryError`."""
    tokens = Lexer(text).read()
    return _Parser(text, tokens).read() if tokens else EVERYTHING


class _Parser:
    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0
        self._terms = 0
        self._depth = 0

    def read(self) -> Node:
        node = self._either(self._one, is_strict=False)
        left = self._next()
        if left is not None:  # all else is taken as long as there is any
            raise _fault(left, "a bracket that was not opened", "leave it out, or put it in quotes")
        return node

    def _next(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _is(self, *kinds: Kind) -> bool:
        token = self._next()
        return token is not None and token.kind in kinds

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _either(self, one: Callable[[], Node], *, is_strict: bool) -> Node:
        """Read what OR joins; `is_strict` wants each AND written."""
        found = [self._all(one, is_strict=is_strict)]
        while self._is("or"):
            self._joined(self._take())
            found.append(self._all(one, is_strict=is_strict))
        return either_of(found)

    def _all(self, one: Callable[[], Node], *, is_strict: bool) -> Node:
        found = [one()]
        while self._is("and", "not", "open", "name", "value", "operator"):
            if self._is("and"):
                self._joined(self._take())
            elif is_strict:
                raise _fault(
                    self._tokens[self._at],
                    "two values with nothing between them",
                    "write OR between them, or AND; a value with spaces goes in quotes",
                )
            found.append(one())
        return all_of(found)

    def _joined(self, word: Token) -> None:
        """Refuse a word that has nothing after it."""
        if not self._is("not", "open", "name", "value"):
            raise _alone(word, "after")

    def _one(self) -> Node:
        if self._is("not"):
            return self._negated(self._one)
        if self._is("open"):
            return self._bracket(lambda: self._either(self._one, is_strict=False))
        if self._is("name"):
            return self._field()
        return self._counted(word_of(self._value()))

    def _negated(self, one: Callable[[], Node]) -> Node:
        times = 0
        word = self._tokens[self._at]
        while self._is("not"):
            word, times = self._take(), times + 1
        self._joined(word)
        node = one()
        for _ in range(times % 2):
            node = not_of(node)
        return node

    def _bracket(self, inside: Callable[[], Node]) -> Node:
        opened = self._take()
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _fault(opened, f"over {DEPTH_MAX} brackets inside each other", "use less")
        if self._is("close"):
            raise _fault(opened, "nothing in the brackets", "write a condition there")
        node = inside()
        if not self._is("close"):
            raise _fault(opened, "a bracket that is not closed", "add the closing )")
        self._take()
        self._depth -= 1
        return node

    def _field(self) -> Node:
        name, operator = self._take(), self._take()
        place = place_of(name, operator)
        if self._is("value"):
            return self._counted(node_of(place, self._take()))
        if not self._is("open"):
            raise QueryError(
                name.start,
                operator.end - name.start,
                f"nothing after {place.field.name}{operator.text}",
                f"write a value, such as {place.field.example}",
            )
        if place.operator not in (":", "!="):
            raise _fault(self._tokens[self._at], "a comparison with several", "name one value")
        node = self._bracket(lambda: self._values(place._replace(operator=":")))
        return not_of(node) if place.operator == "!=" else node

    def _values(self, place: Place) -> Node:
        def one() -> Node:
            if self._is("not"):
                return self._negated(one)
            if self._is("open"):
                return self._bracket(lambda: self._values(place))
            token = self._value()
            _refuse_field(token)
            return self._counted(node_of(place, token))

        return self._either(one, is_strict=True)

    def _value(self) -> Token:
        """Take a value. What else stands here joins or ends what isn't there."""
        token = self._next()
        if token is None:
            raise _alone(self._tokens[-1], "after")
        if token.kind != "value":
            raise _alone(token, "before")
        return self._take()

    def _counted(self, node: Node) -> Node:
        self._terms += 1
        if self._terms > TERMS_MAX:
            last = self._tokens[self._at - 1]
            raise _fault(last, f"over {TERMS_MAX} conditions", "ask for less at once")
        return node


def _fault(token: Token, said: str, cure: str) -> QueryError:
    return QueryError(token.start, token.end - token.start, said, cure)


def _refuse_field(token: Token) -> None:
    """Refuse `user:(a OR role:b)`: a value may hold a colon, but that is hardly meant."""
    found = None if token.is_quoted else _NAMED.match(token.text)
    if token.kind == "value" and found and found[1].lower() in NAMES:
        raise _fault(
            token,
            "a field inside the values of another",
            "close the bracket first, or put the value in quotes",
        )


def _alone(token: Token, side: str) -> QueryError:
    return _fault(
        token,
        f"nothing {side} {token.text}",
        f"write a condition there; {token.text} itself as a text goes in quotes",
    )
