"""Which software this is, as reports, manifests and the state of the whole say it."""

from functools import lru_cache
from importlib import metadata
from typing import Final

DISTRIBUTION: Final = "audit-stream"


@lru_cache(maxsize=1)
def software() -> str:
    """Return the version of this software, as it was installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "not installed: it runs from its folder"
