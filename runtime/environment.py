"""The environment of this process: read here and nowhere else, and cheap to import."""

import os
from collections.abc import Mapping
from typing import Final

PREFIX: Final = "AUDIT_"


def process_environment() -> Mapping[str, str]:
    """Return this process's environment, as it is now."""
    return dict(os.environ)  # noqa: TID251 - this is the place


def ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what is meant for us; an empty variable counts as not given."""
    return {name: value for name, value in environment.items() if name.startswith(PREFIX) and value}
