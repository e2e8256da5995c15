"""From text to tokens. Which characters end a word depends on whether a value is awaited."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from console.query.fault import QueryError
from console.query.tree import Parts

TEXT_MAX: Final = 4_096  # characters; more is no question but a list
OPERATORS: Final = (">=", "<=", "!=", ">", "<", "=", ":")  # the longer ones first
KEYWORDS: Final[Mapping[str, "Kind"]] = {"and": "and", "or": "or", "not": "not"}
_DETAILS: Final = "details."
_LONE: Final = re.compile("[\ud800-\udfff]")

Kind = Literal["open", "close", "and", "or", "not", "name", "operator", "value"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `text` as it stands, `parts` what it means if it is a value, cut at its stars."""

    kind: Kind
    start: int
    end: int
    text: str
    parts: Parts = ()
    is_quoted: bool = False


class Lexer:
    """Reads one text. `is_partial` takes a quote that isn't closed yet as closed at the end."""

    def __init__(self, text: str, *, is_partial: bool = False) -> None:
        self._text = text
        self._is_partial = is_partial
        self._at = 0
        self._tokens: list[Token] = []
        self._groups: list[bool] = []  # of each open bracket: does it hold values?

    def read(self) -> list[Token]:
        """Return all tokens. Raises `QueryError`."""
        if len(self._text) > TEXT_MAX:
            raise QueryError(
                TEXT_MAX,
                len(self._text) - TEXT_MAX,
                f"the query has over {TEXT_MAX} characters",
                "ask for less at once",
            )
        lone = _LONE.search(self._text)
        if lone:  # half of a character, which no encoding has
            raise QueryError(lone.start(), 1, "half a character", "leave it out")
        while self._at < len(self._text):
            self._step()
        return self._tokens

    def _step(self) -> None:
        char = self._text[self._at]
        if char.isspace():
            self._at += 1
        elif char == "(":
            self._open()
        elif char == ")":
            self._groups = self._groups[:-1]
            self._add("close", self._at + 1)
        elif char == '"':
            self._phrase()
        elif char == "-" and not self._awaits_value() and self._has_next():
            self._add("not", self._at + 1)
        elif not self._awaits_value() and self._operator_here():
            self._operator()
        else:
            self._word()

    def _add(self, kind: Kind, end: int, parts: Parts = (), *, is_quoted: bool = False) -> None:
        text = self._text[self._at : end]
        self._tokens.append(Token(kind, self._at, end, text, parts, is_quoted))
        self._at = end

    def _last(self, kind: Kind) -> bool:
        return bool(self._tokens) and self._tokens[-1].kind == kind

    def _awaits_value(self) -> bool:
        return self._last("operator")

    def _in_values(self) -> bool:
        return self._awaits_value() or (bool(self._groups) and self._groups[-1])

    def _has_next(self) -> bool:
        following = self._text[self._at + 1 : self._at + 2]
        return bool(following) and not following.isspace()

    def _open(self) -> None:
        if self._last("value") and self._tokens[-1].end == self._at:
            raise QueryError(
                self._at,
                1,
                "a bracket inside a word",
                "put the word in quotes, or a space before the bracket",
            )
        self._groups.append(self._in_values())
        self._add("open", self._at + 1)

    def _operator_here(self) -> str:
        return next((op for op in OPERATORS if self._text.startswith(op, self._at)), "")

    def _operator(self) -> None:
        """Take an operator; the word before it, which may end with spaces, is a field's name."""
        operator = self._operator_here()
        last = self._tokens[-1] if self._tokens else None
        if last is None or last.kind != "value" or last.is_quoted:
            raise QueryError(
                self._at,
                len(operator),
                f"no field before {operator}",
                "write field:value, such as user:jane*; text with such characters goes in quotes",
            )
        self._tokens[-1] = Token("name", last.start, last.end, last.text)
        end = self._at + len(operator)
        if operator == ":":  # risk:>50 is risk>50
            self._at = end
            inner = self._operator_here()
            if inner not in ("", ":", "!="):
                end += len(inner)
            self._at -= 1
        self._add("operator", end)

    def _phrase(self) -> None:
        start, at, out = self._at, self._at + 1, ""
        while at < len(self._text) and self._text[at] != '"':
            if self._text[at] == "\\" and at + 1 < len(self._text):
                at += 1
            out += self._text[at]
            at += 1
        if at >= len(self._text):
            if not self._is_partial:
                raise QueryError(start, 1, "a quote that is not closed", 'add the closing "')
            self._add("value", at, (out,), is_quoted=True)
            return
        self._add("value", at + 1, (out,), is_quoted=True)
        following = self._text[self._at : self._at + 1]
        if following and following != ")" and not following.isspace():
            raise QueryError(
                self._at,
                1,
                "no space after the closing quote",
                'put a space there; a quote inside quotes is written \\"',
            )

    def _word(self) -> None:
        """Take a word. A backslash makes the character after it one like any other."""
        in_values, start, at = self._in_values(), self._at, self._at
        parts, out, is_keyword = [], "", True
        while at < len(self._text):
            char = self._text[at]
            if char.isspace() or char in "()":
                break
            if char == '"':
                at = self._quoted_key(start, at)
                continue
            if not in_values and any(self._text.startswith(op, at) for op in OPERATORS):
                break
            if char == "\\" and at + 1 < len(self._text) and not self._text[at + 1].isalnum():
                at += 1
                out, is_keyword = out + self._text[at], False
            elif char == "*":
                parts.append(out)
                out = ""
            else:
                out += char
            at += 1
        word = self._text[start:at]
        is_value = self._awaits_value() and self._tokens[-1].end == start
        if is_keyword and not is_value and word.lower() in KEYWORDS:
            self._add(KEYWORDS[word.lower()], at)
        else:
            self._add("value", at, (*parts, out))

    def _quoted_key(self, start: int, at: int) -> int:
        """Return where a quoted key of details."a.b" ends; a quote elsewhere is a fault."""
        before = self._text[start:at].lower()
        closing = _closing(self._text, at)
        if before.startswith(_DETAILS) and before.endswith(".") and closing:
            return closing
        raise QueryError(
            at,
            1,
            "a quote inside a word",
            'put the whole value in quotes; a quote inside them is written \\"',
        )


def _closing(text: str, at: int) -> int:
    """Return the place after the quote that closes the one at `at`; 0 if none does."""
    at += 1
    while at < len(text):
        if text[at] == '"':
            return at + 1
        at += 2 if text[at] == "\\" else 1
    return 0
