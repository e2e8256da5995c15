"""Who may ask: what tells a principal from a token or a session, and the service's own token."""

import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final, Protocol

from pydantic import SecretStr

from console.access import ROLES, Principal
from schemas.errors import Misconfigured

TOKEN_BYTES: Final = 32
TOKEN_LENGTH_MIN: Final = 32  # characters; what is shorter could be guessed
TOKEN_LENGTH_MAX: Final = 512
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


SERVICE: Final = "service-token"  # who asks with the file's token: whoever can read the file


class Authenticator(Protocol):
    """Tells who asks. `client` is the address that the request came from.

    Both take a time that tells nothing of what is known, and raise `StoreUnavailable` if they
    can't tell.
    """

    async def by_token(self, token: str, client: str) -> Principal | None:
        """Return who a bearer token stands for; None if nobody, or no longer."""
        ...

    async def by_session(self, cookie: str, client: str) -> Principal | None:
        """Return whose session a cookie names; None if none's, or it has ended."""
        ...


class ServiceToken:
    """The one token of the file: it may do everything, for one tenant or for all."""

    def __init__(self, token: SecretStr, tenant: str | None = None) -> None:
        self._token = token
        self.tenant: Final = tenant

    async def by_token(self, token: str, client: str) -> Principal | None:
        """Compare, as `Authenticator` promises."""
        wanted = self._token.get_secret_value().encode()
        if not hmac.compare_digest(token.encode("utf-8", "replace"), wanted):
            return None
        return Principal(SERVICE, frozenset(ROLES), self.tenant, client=client)

    async def by_session(self, cookie: str, client: str) -> Principal | None:
        """Know no sessions."""
        del cookie, client
        return None


def load_token(path: Path) -> SecretStr:
    """Read the token, or make one if there is no file yet; it is never seen half written.

    Raises `Misconfigured` if others than the owner can read it, or it is too short.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        _create(path)
        return load_token(path)
    except OSError as error:
        raise Misconfigured(f"{path}: the token can't be read ({error.strerror})") from error
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        require_private(path, os.fstat(descriptor).st_mode)
        token = file.read(TOKEN_LENGTH_MAX + 2).strip()
    if not TOKEN_LENGTH_MIN <= len(token) <= TOKEN_LENGTH_MAX or not token.isascii():
        raise Misconfigured(
            f"{path} holds no token of {TOKEN_LENGTH_MIN} to {TOKEN_LENGTH_MAX} characters: "
            f"remove it, and a new one is made at the next start"
        )
    return SecretStr(token)


def require_private(path: Path, mode: int) -> None:
    """Raise `Misconfigured` naming the path and the cure unless only the owner has rights."""
    if mode & OTHERS:
        raise Misconfigured(
            f"{path} can be read by others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}, "
            f"and remove it first if it may have been read"
        )


def _create(path: Path) -> None:
    """Write a new token beside the path and link it there; if another was first, theirs stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        finally:
            draft.unlink()
    except OSError as error:
        raise Misconfigured(f"{path}: the token can't be written ({error.strerror})") from error
