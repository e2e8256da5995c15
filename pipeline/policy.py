"""The policy: data class and retention class by resource and action, and who is for emergencies."""

import hashlib
import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import Misconfigured

BYTES_MAX: Final = 262_144
RULES_MAX: Final = 1_000
YEARS_MAX: Final = 100
CLASSES_CACHED_MAX: Final = 4_096  # pairs of action and resource

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9_-]+$")]
Glob = Annotated[str, Field(min_length=1, max_length=128)]


class Kept(NamedTuple):
    """What the policy says of one event."""

    data_class: str
    retention_class: str
    years: int
    is_protected: bool


class _Verdict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    data_class: Name
    retention: Name


class _Rule(_Verdict):
    resource: Glob = "*"
    action: Glob = "*"


class _Emergency(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    users: Annotated[tuple[Glob, ...], Field(max_length=RULES_MAX)] = ()
    roles: Annotated[tuple[Glob, ...], Field(max_length=RULES_MAX)] = ()


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    retention_years: Annotated[
        dict[Name, Annotated[int, Field(ge=1, le=YEARS_MAX)]], Field(min_length=1)
    ]
    protected: tuple[Name, ...] = ()
    emergency: _Emergency = _Emergency()
    default: _Verdict
    rules: Annotated[tuple[_Rule, ...], Field(max_length=RULES_MAX)] = ()

    @model_validator(mode="after")
    def _name_known_classes(self) -> "_File":
        for verdict in (self.default, *self.rules):
            if verdict.retention not in self.retention_years:
                raise ValueError("a rule's retention is not among retention_years")
        return self


class Policy:
    """The rules, ready to ask. `version` is a hash of the file."""

    def __init__(
        self,
        rules: Sequence[tuple[str, str, Kept]],
        default: Kept,
        version: str,
        emergency: _Emergency,
    ) -> None:
        self._rules = [
            (_matcher(resource), _matcher(action), kept) for resource, action, kept in rules
        ]
        self._default = default
        self.version: Final = version
        self.classify = lru_cache(maxsize=CLASSES_CACHED_MAX)(self._classify)
        self._users = [_matcher(glob) for glob in emergency.users]
        self._roles = [_matcher(glob) for glob in emergency.roles]
        self.is_emergency_role = lru_cache(maxsize=CLASSES_CACHED_MAX)(self._is_emergency_role)

    def is_emergency_user(self, user: str) -> bool:
        """Say whether an account is for emergencies."""
        return any(is_user(user) for is_user in self._users)

    def _is_emergency_role(self, role: str) -> bool:
        return any(is_role(role) for is_role in self._roles)

    def _classify(self, action: str, resource: str) -> Kept:
        for is_resource, is_action, kept in self._rules:
            if is_resource(resource) and is_action(action):
                return kept
        return self._default


def _matcher(glob: str) -> Any:  # noqa: ANN401 - a bound method of re.Pattern, which has no name
    return re.compile(translate(glob), re.IGNORECASE).match


def parse_policy(name: str, content: bytes) -> Policy:
    """Read a file as policy.yml beside this module is. Raises `Misconfigured` naming the fault."""
    if len(content) > BYTES_MAX:
        raise Misconfigured(f"policy: {name} is over {BYTES_MAX} bytes")
    try:
        file = _File.model_validate(yaml.load(content, Loader=yaml.CSafeLoader))
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise Misconfigured(f"policy: {name} is no YAML") from error
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, fault["loc"])) or "file"
        raise Misconfigured(f"policy: {name}: {place}: {fault['msg']}") from error

    def kept(verdict: _Verdict) -> Kept:
        years = file.retention_years[verdict.retention]
        is_protected = verdict.data_class in file.protected
        return Kept(verdict.data_class, verdict.retention, years, is_protected)

    rules = [(rule.resource, rule.action, kept(rule)) for rule in file.rules]
    version = hashlib.sha256(content).hexdigest()[:12]
    return Policy(rules, kept(file.default), version, file.emergency)
