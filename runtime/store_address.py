"""Where the store is: a DSN taken apart and checked once, so that nothing later can quote it."""

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from schemas.errors import Misconfigured

EMBEDDED: Final = "chdb"
PORTS: Final = {"clickhouse": 8123, "clickhouses": 8443}  # HTTP, HTTPS
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")  # urlsplit would drop some of them unseen
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")
_DATABASE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A checked DSN: of a folder (`path`) or of a server (all else; `database` may be "")."""

    scheme: str
    path: str = ""
    host: str = ""
    port: int = 0
    database: str = ""
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_embedded(self) -> bool:
        """Whether the store is a folder that this process opens itself."""
        return self.scheme == EMBEDDED


def parse_dsn(dsn: str) -> StoreAddress:
    """Take a DSN apart. Raises `Misconfigured`, which says what is wrong and quotes nothing."""
    address = _split(dsn)
    if address is None or address.scheme not in {EMBEDDED, *PORTS}:
        raise _fault("it must begin with chdb:///, clickhouse:// or clickhouses://")
    if _CONTROL.search(dsn):
        raise _fault("it has control characters")
    if address.scheme == EMBEDDED:
        if address.netloc or len(address.path) <= 1 or address.query or address.fragment:
            raise _fault("it must be chdb:///path, the path absolute and without ? and #")
        return StoreAddress(EMBEDDED, path=address.path)
    return _server(address)


def _split(dsn: str) -> SplitResult | None:
    try:
        return urlsplit(dsn)
    except ValueError:  # its text quotes the DSN, so nothing of it may be chained to ours
        return None


def _server(address: SplitResult) -> StoreAddress:
    port = _port(address)
    if port is None:
        raise _fault("the port is no number from 1 to 65535")
    host = address.hostname or "localhost"
    if not _HOST.fullmatch(host) and not _is_ipv6(host):
        raise _fault("the host is no name or address")
    database = address.path.strip("/")
    if address.query or address.fragment or (database and not _DATABASE.fullmatch(database)):
        raise _fault("what follows the host is no name of a database")
    user = unquote(address.username or "default")
    if ":" in user or _CONTROL.search(user):
        raise _fault("the user's name has a colon or control characters")
    return StoreAddress(
        address.scheme,
        host=host,
        port=port,
        database=database,
        user=user,
        password=unquote(address.password or ""),
    )


def _port(address: SplitResult) -> int | None:
    try:
        port = address.port
    except ValueError:
        return None
    return PORTS[address.scheme] if port is None else port or None


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _fault(what: str) -> Misconfigured:
    return Misconfigured(
        f"AUDIT_STORE_DSN: {what}; the form is clickhouse[s]://user:password@host:port/database, "
        "percent-encode the password"
    )
