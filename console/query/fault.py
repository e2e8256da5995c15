"""What is wrong with a query: where, what, and what would work."""

from typing import Final

from console.web.problems import Refused

FIELD: Final = "q"
SHOWN_MAX: Final = 32  # characters of a name that a message repeats


class QueryError(Refused):
    """A query that can't be read. `position` and `length` are characters of its text."""

    position: int
    length: int

    def __init__(self, position: int, length: int, said: str, cure: str) -> None:
        super().__init__("bad_query", said, field=FIELD, cure=cure)
        self.position = position
        self.length = length
        self.said = said


def shown(name: str) -> str:
    """Return a name as a message repeats it: short, in quotes, with nothing that deceives."""
    cut = name if len(name) <= SHOWN_MAX else f"{name[: SHOWN_MAX - 1]}…"
    return (
        "'"
        + "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)
        + "'"
    )
