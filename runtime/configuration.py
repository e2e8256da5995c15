"""Reads settings from the environment and a file, and finds everything wrong with them at once."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from runtime.environment import PREFIX, ours
from runtime.lifecycle import PARENT_FD
from runtime.settings import ALL, ServiceSettings
from schemas.errors import Misconfigured
from schemas.secrets import MASK

S = TypeVar("S", bound=ServiceSettings)
CONFIG: Final = "AUDIT_CONFIG"
DATA_DIR: Final = "AUDIT_DATA_DIR"
# of the command line and the supervisor, not of a service
OTHER_NAMES: Final = frozenset({CONFIG, DATA_DIR, PARENT_FD})
CLOSENESS: Final = 0.75  # a letter or two wrong; below it a guess misleads


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting as `--check` prints it; secrets are hidden."""

    name: str
    value: str
    origin: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Given:
    """The settings that somebody gave, by variable name, with where each came from."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    problems: tuple[str, ...]


def gather(environment: Mapping[str, str], config: Path | None = None) -> Given:
    """Collect what the environment and the file give; the environment wins.

    The file is `config`, else what AUDIT_CONFIG names: TOML with a section for each service, or
    lines of NAME=value. An empty variable counts as not given.
    """
    path = config or (Path(environment[CONFIG]) if environment.get(CONFIG) else None)
    in_file, problems = _read_file(path) if path else ({}, ())
    in_environment = ours(environment)
    origins = dict.fromkeys(in_file, str(path)) | dict.fromkeys(in_environment, "environment")
    return Given(in_file | in_environment, origins, problems)


def load(cls: type[S], given: Given) -> S:
    """Return the settings of one service. Raises `Misconfigured` listing every problem."""
    settings, problems = _build(cls, given)
    if settings is None or given.problems:
        raise Misconfigured(_listed([*given.problems, *problems]))
    return settings


def check(
    classes: Sequence[type[ServiceSettings]],
    given: Given,
    *,
    known: Iterable[str] = (),
) -> tuple[list[SettingRow], list[str]]:
    """Return a printable row a setting, and every problem; no secret is in either.

    `known` are further names that are no mistake.
    """
    rows: list[SettingRow] = []
    problems = [*given.problems, *unknown_names(given, known)]
    for cls in classes:
        settings, wrong = _build(cls, given)
        problems += wrong
        rows += [_row(cls, field, settings, given) for field in cls.model_fields]
    return rows, problems


def unknown_names(given: Given, known: Iterable[str] = ()) -> list[str]:
    """Return a problem for each AUDIT_* name that no service has, with a guess what was meant."""
    names = {cls.variable(field) for cls in ALL for field in cls.model_fields}
    names |= OTHER_NAMES | set(known)
    problems: list[str] = []
    for name in sorted(set(given.values) - names):
        near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=CLOSENESS)
        guess = f"; did you mean {near[0]}?" if near else ""
        problems.append(f"{name} ({given.origins[name]}): no such setting{guess}")
    return problems


def _read_file(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    try:
        if path.suffix != ".toml":
            with path.open(encoding="utf-8") as lines:
                found = dotenv_values(stream=lines, interpolate=False)
            return {name: value for name, value in found.items() if value}, ()
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, (f"{path}: can't be read: {error.strerror or type(error).__name__}",)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        where = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8"
        return {}, (f"{path}: is not TOML: {where}",)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for section, content in sections.items():
        if not isinstance(content, dict):
            problems.append(f"{path}: {section} stands outside of a [section]")
            continue
        for field, value in content.items():
            values[f"{PREFIX}{section}_{field}".upper()] = value
    return values, tuple(problems)


def _build(cls: type[S], given: Given) -> tuple[S | None, list[str]]:
    values = {
        field: given.values[cls.variable(field)]
        for field in cls.model_fields
        if cls.variable(field) in given.values
    }
    try:
        return cls(**values), []
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        return None, [_problem(cls, fault["loc"], fault["msg"], given) for fault in faults]


def _problem(cls: type[ServiceSettings], loc: tuple[Any, ...], what: str, given: Given) -> str:
    if not loc:
        return f"{cls.model_config['env_prefix']}*: {what.removeprefix('Value error, ')}"
    name = cls.variable(str(loc[0]))
    return f"{name} ({given.origins.get(name, 'default')}): {what.removeprefix('Value error, ')}"


def _row(
    cls: type[ServiceSettings], field: str, settings: ServiceSettings | None, given: Given
) -> SettingRow:
    name = cls.variable(field)
    info = cls.model_fields[field]
    value = getattr(settings, field) if settings else info.get_default(call_default_factory=True)
    is_unread = settings is None and name in given.values
    shown = "(not read)" if is_unread else _shown(value)
    return SettingRow(name, shown, given.origins.get(name, "default"), info.description or "")


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return " ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _listed(problems: Sequence[str]) -> str:
    count = f"{len(problems)} settings are wrong" if len(problems) > 1 else "a setting is wrong"
    return f"{count}:" + "".join(f"\n  {problem}" for problem in problems)
