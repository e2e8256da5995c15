"""The key that marks canaries: what sends them and what judges events must have the same."""

from pathlib import Path
from typing import Final

from console.web.auth import load_token
from runtime.settings import CanarySettings
from schemas.errors import Misconfigured

CANARY_KEY: Final = "canary.key"


def read_canary_key(settings: CanarySettings, data: Path) -> bytes:
    """Return the key of the file that is named, else that of the data folder; b"" without one.

    Raises `Misconfigured` if it is named and not there, or others can read it.
    """
    path = settings.key_file or data / CANARY_KEY
    if not path.exists():
        if settings.key_file is None:
            return b""
        raise Misconfigured(
            f"{path}, which marks canaries, is not there: make it with `openssl rand -hex 32`,"
            " chmod 600, and give the same to pipeline and alerts"
        )
    return load_token(path).get_secret_value().encode()
