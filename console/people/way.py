"""Where a login leads: only to pages of our own, whatever the address says. Pure."""

import re
from typing import Final
from urllib.parse import quote, urlsplit

LENGTH_MAX: Final = 2_048
HOME: Final = "/"
_BAD: Final = re.compile(r"[\x00-\x20\\\x7f]")
_LOGIN: Final = re.compile(r"/(login|logout)(/|\?|#|$)")


def safe_next(wanted: str) -> str:
    r"""Return a path of ours with its query as an ASCII header may hold it; else the first page.

    Browsers take `//host`, `/\host` and what is left after dropping tabs for another host. Total.
    """
    if not wanted.startswith("/") or wanted.startswith("//") or len(wanted) > LENGTH_MAX:
        return HOME
    if _BAD.search(wanted) or _LOGIN.match(wanted):
        return HOME
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return HOME
    if parts.scheme or parts.netloc:
        return HOME
    return quote(wanted.encode("utf-8", "replace"), safe="/?#%&=:;,+@!$'()*~-._[]")
