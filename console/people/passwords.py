"""Passwords: what is one, and argon2id on a few threads, so that a login stalls nobody's page."""

import asyncio
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from console.web.problems import Refused

LENGTH_MIN: Final = 12  # characters; NIST SP 800-63B asks for 8 with, 15 without a second factor
LENGTH_MAX: Final = 256  # so that nobody makes us hash a novel
THREADS: Final = 2  # each hash holds 64 MiB
WAITING_MAX: Final = 16  # logins that wait for a thread; more are refused at once
DISTINCT_MIN: Final = 5  # "aaaaaaaaaaaa" is no password
# RFC 9106's second choice, on one lane: there are more people than processors.
HASHER: Final = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)


class Passwords:
    """Hashes and verifies on threads of its own."""

    def __init__(self, hasher: PasswordHasher = HASHER) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="audit-password")
        self._present = 0
        self._nobodys = hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """Return what is kept of a password. Raises `Refused` where too many wait."""
        return await self._run(normal(password))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Say whether it is the password; takes as long where there is none, as for nobody."""
        right = await self._run(normal(password), kept or self._nobodys)
        return bool(right) and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Say whether a hash was made with less than we ask for now."""
        return self._hasher.check_needs_rehash(kept)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, password: str, kept: str | None = None) -> str:
        """Hash, or verify against `kept`: "" if wrong."""
        if self._present >= THREADS + WAITING_MAX:
            raise Refused("busy", "too many people log in at once")
        self._present += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._work, password, kept)
        finally:
            self._present -= 1

    def _work(self, password: str, kept: str | None) -> str:
        if kept is None:
            return self._hasher.hash(password)
        try:
            self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return ""
        return kept


def normal(password: str) -> str:
    """Return a password as every keyboard gives it: composed, and cut where it is too long."""
    composed = unicodedata.normalize("NFKC", password[: 4 * LENGTH_MAX])
    return composed.encode("utf-8", "replace").decode()[: 4 * LENGTH_MAX]


def require_good(password: str, name: str) -> None:
    """Raise `Refused` for a password that is too short, too long, or easy to guess."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise Refused(
            "bad_parameter",
            f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters",
            field="password",
            cure="take a few words that only you would put together",
        )
    lowered = password.casefold()
    is_named = len(name) >= DISTINCT_MIN and name.casefold() in lowered
    if is_named or len(set(lowered)) < DISTINCT_MIN:
        raise Refused(
            "bad_parameter",
            "the password is easy to guess",
            field="password",
            cure="take a few words that only you would put together, without your name",
        )
