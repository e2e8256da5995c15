"""The engine's own reading of a statement (EXPLAIN AST), as a tree. Pure.

Each line is a node, indented by its depth, with how many children it has. A name in backquotes may
hold anything, line breaks too; lines that don't add up to a tree are therefore refused.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

NODES_MAX: Final = 5_000
_LINE: Final = re.compile(r"( *)(.*?)(?: \(children ([1-9]\d{0,4})\))?", re.ASCII)
_NODE: Final = re.compile(r"([A-Za-z:]+)(?: (.*))?", re.ASCII)
_ALIAS: Final = re.compile(r"(?:(.*) )?\(alias [^()]*\)")


@dataclass(slots=True)
class Branch:
    """One node: its kind, such as Function, its name, and its children."""

    kind: str
    name: str
    children: list["Branch"] = field(default_factory=list)

    def walk(self) -> Iterator["Branch"]:
        """Yield this node and all below it."""
        left = [self]
        while left:
            node = left.pop()
            yield node
            left += reversed(node.children)


def parse(lines: Sequence[str]) -> Branch | None:
    """Return the tree of the lines; None if they are none, or too many."""
    if not 0 < len(lines) <= NODES_MAX:
        return None
    path: list[tuple[Branch, int]] = []  # from the root: a node, and how many children it lacks
    root: Branch | None = None
    for line in lines:
        match = _LINE.fullmatch(line)
        said = match and _NODE.fullmatch(match[2])
        if not match or not said:
            return None
        depth, count = len(match[1]), int(match[3] or 0)
        while path and path[-1][1] == 0:
            path.pop()
        if depth != len(path) or (root is not None and not path):
            return None
        node = Branch(said[1], _named(said[2] or ""))
        if path:
            parent, lacking = path[-1]
            parent.children.append(node)
            path[-1] = (parent, lacking - 1)
        else:
            root = node
        path.append((node, count))
    return root if not any(lacking for _node, lacking in path) else None


def _named(text: str) -> str:
    """Return a name without its alias."""
    alias = _ALIAS.fullmatch(text)
    return (alias[1] or "") if alias else text
