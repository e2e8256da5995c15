"""Secrets that are random, of which only a hash is kept; and what is derived of them. Pure."""

import base64
import hashlib
import hmac
import secrets
from typing import Final

SECRET_BYTES: Final = 32  # 256 bits: nobody guesses one, so a plain hash of it is enough
SECRET_CHARS: Final = 43  # as URL-safe base64
PREFIX: Final = "ast_"  # what scanners for leaked secrets know our tokens by
KEY_BYTES: Final = 8  # of public names of sessions and tokens


def new_secret() -> str:
    """Return 256 random bits as text that fits into a cookie and an address."""
    return secrets.token_urlsafe(SECRET_BYTES)


def new_key(kind: str) -> str:
    """Return a new public name, such as `tok-0123456789abcdef`; it opens nothing."""
    return f"{kind}-{secrets.token_hex(KEY_BYTES)}"


def digest(secret: str) -> bytes:
    """Return what is kept of a secret. Total.

    A look-up by it tells nothing by its time: who asks can't choose the hash.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def derived(secret: str, purpose: str) -> str:
    """Return another secret for one purpose, from which the first can't be found."""
    mac = hmac.new(secret.encode("utf-8", "surrogatepass"), purpose.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()


def same(given: str, wanted: str) -> bool:
    """Compare two texts in a time that tells nothing of where they differ."""
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass")
    )
