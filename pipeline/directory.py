"""The directory: who a user is, from a file of YAML, JSON or CSV.

YAML and JSON: {user: {role, department, status}}; CSV: a header with `user` and any of these.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import yaml

from schemas.errors import Misconfigured

BYTES_MAX: Final = 16_777_216  # 100,000 people take about 8 MiB
PEOPLE_MAX: Final = 100_000
TEXT_MAX: Final = 128  # characters of a role, department or status
ACTIVE: Final = frozenset({"", "active", "enabled"})


class Person(NamedTuple):
    """What the directory says of a user; '' where it says nothing."""

    role: str = ""
    department: str = ""
    status: str = ""


NOBODY: Final = Person()


class Directory:
    """People by name; case does not count. `version` is a hash of the file."""

    def __init__(self, people: Mapping[str, Person], version: str = "none") -> None:
        self._people = {name.casefold(): person for name, person in people.items()}
        self.version: Final = version

    def __len__(self) -> int:
        return len(self._people)

    def find(self, user: str) -> Person:
        """Return what is known; total."""
        return self._people.get(user.casefold(), NOBODY)


EMPTY: Final = Directory({})


def parse_directory(name: str, content: bytes) -> Directory:
    """Read a file of the given name. Raises `Misconfigured` naming the entry, never its text."""
    if len(content) > BYTES_MAX:
        raise Misconfigured(f"directory: {name} is over {BYTES_MAX} bytes")
    try:
        rows = list(_rows_of(name, content))
    except (UnicodeDecodeError, yaml.YAMLError, csv.Error, RecursionError) as error:
        raise Misconfigured(f"directory: {name} can't be read as its ending says") from error
    if len(rows) > PEOPLE_MAX:
        raise Misconfigured(f"directory: {name} has over {PEOPLE_MAX} people")
    people: dict[str, Person] = {}
    for number, (user, facts) in enumerate(rows, start=1):
        if not isinstance(user, str) or not user or not isinstance(facts, Mapping):
            raise Misconfigured(f"directory: {name}: entry {number} is no user with facts")
        people[user] = Person(*(_text(name, number, facts, key) for key in Person._fields))
    return Directory(people, hashlib.sha256(content).hexdigest()[:12])


def _rows_of(name: str, content: bytes) -> Iterable[tuple[Any, Any]]:
    text = content.decode("utf-8-sig")
    if name.lower().endswith(".csv"):
        reader = csv.DictReader(io.StringIO(text))
        if "user" not in (reader.fieldnames or ()):
            raise Misconfigured(f"directory: {name} has no column `user` in its first line")
        return [(row["user"], row) for row in reader]
    parsed = yaml.load(text, Loader=yaml.CSafeLoader)  # JSON is YAML
    if parsed is None:
        return ()
    if not isinstance(parsed, dict):
        raise Misconfigured(f"directory: {name} is no object of users")
    return parsed.items()


def _text(name: str, number: int, facts: Mapping[str, Any], key: str) -> str:
    value = facts.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        raise Misconfigured(
            f"directory: {name}: entry {number}: {key} is no text of at most {TEXT_MAX} characters"
        )
    return value
