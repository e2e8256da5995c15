"""What was asked, as its audit event tells it: each secret masked, nothing else hidden. Pure.

A mask may take the rest of a text with it, such as what follows the beginning of a private key. So
a query is masked term by term, and a statement of SQL literal by literal; where the whole would
still be masked further when it is published, it is told as the list of its pieces.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from console.query.fault import QueryError
from console.query.lexer import Lexer
from console.query.parse import parse
from console.query.text import text_of
from console.query.tree import All, Node, Not, Term
from schemas.secrets import MASK, is_secret_key, mask_text

Told = str | list[str]
# Of a statement as the engine writes it: literals, quoted names, and words of anything else.
_PIECE: Final = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|[^\s'`\"]+|\S", re.DOTALL
)

_WORD: Final = re.compile(r'"|[^\s"]+')


def told(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as told; a query besides with what it was, letter for letter."""
    found = dict(asked)
    if isinstance(query := found.get("q"), str):
        found |= {"q": told_query(query), **fingerprint(query)}
    if isinstance(statement := found.get("sql"), str):
        found["sql"] = told_sql(statement)
    return found


def fingerprint(text: str) -> dict[str, Any]:
    """Return what proves later what was asked, also of what is masked."""
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return {"asked_sha256": digest, "asked_length": len(text)}


def told_query(text: str) -> Told:
    """Return a query in its canonical form; one that can't be read as it stands."""
    try:
        node = _masked(parse(text))
    except QueryError:
        return _joined(_tokens(text))
    whole = text_of(node)
    return whole if mask_text(whole) == whole else [mask_text(one) for one in _pieces(node)]


def told_sql(text: str) -> Told:
    """Return a statement of SQL, best one that the engine wrote: then it has no comments."""
    return _joined(_PIECE.findall(text))


def _joined(pieces: Sequence[str]) -> Told:
    masked = [mask_text(piece) for piece in pieces]
    whole = " ".join(masked)
    return whole if mask_text(whole) == whole else masked


def _masked(node: Node) -> Node:
    if isinstance(node, Not):
        return Not(_masked(node.node))
    if not isinstance(node, Term):
        return replace(node, nodes=tuple(map(_masked, node.nodes)))
    path = tuple(map(mask_text, node.path))
    if node.field != "has" and path and is_secret_key(path[-1]):
        parts = tuple(part and MASK for part in node.parts)
        return replace(node, path=path, parts=parts, high=node.high and MASK)
    parts = tuple(map(mask_text, node.parts))
    return replace(node, path=path, parts=parts, high=mask_text(node.high))


def _pieces(node: Node) -> Iterator[str]:
    """Yield the terms of a query, and what joins them."""
    if isinstance(node, Term):
        yield text_of(node)
    elif isinstance(node, Not):
        yield "-"
        yield from _pieces(node.node)
    else:
        yield "("
        for number, inner in enumerate(node.nodes):
            if number and not isinstance(node, All):
                yield "OR"
            yield from _pieces(inner)
        yield ")"


def _tokens(text: str) -> list[str]:
    """Return the tokens of a text that is no query, such as one that is being typed."""
    try:
        tokens = Lexer(text, is_partial=True).read()
    except QueryError:
        return _WORD.findall(text)
    found: list[str] = []
    is_secret = False
    for token in tokens:
        is_hidden = is_secret and token.kind == "value"
        found.append(MASK if is_hidden else text[token.start : token.end])
        if token.kind != "operator":
            is_secret = token.kind == "name" and is_secret_key(token.text)
    return found
