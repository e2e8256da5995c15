"""Where an address lies: country and network, from a packaged database or MMDB files.

`open_geo` reads files; what it returns is pure. Blind spot: the packaged database knows the
network's name, not its number, and is as old as its version says.
"""

import gc
import ipaddress
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import geoip2fast.geoip2fast as packaged
import maxminddb

from schemas.errors import Misconfigured

PACKAGED_FILE: Final = "geoip2fast-asn-ipv6.dat.gz"
AS_NAME_MAX: Final = 128  # characters
ASN_MAX: Final = 2**32 - 1
_V4_END: Final = 2**32
_V4_BITS: Final = 32
_V6_BITS: Final = 64  # the upper half
_RESERVED_IDS: Final = 16  # the package's first country ids are private and reserved networks
_COUNTRY: Final = 2  # letters; the package also has "ASIA" and the like


class Place(NamedTuple):
    """What is known of an address; '' and 0 where nothing is."""

    country: str = ""
    asn: int = 0
    as_name: str = ""


NOWHERE: Final = Place()

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Geo(Protocol):
    """A database of places."""

    @property
    def version(self) -> str:
        """A text without spaces that names the database and its date."""

    def locate(self, address: Address) -> Place:
        """Look a public address up; total."""


class NoGeo:
    """Knows no place; as `Geo` promises."""

    version: Final = "none"

    def locate(self, address: Address) -> Place:  # noqa: ARG002 - as the protocol has it
        """Give nothing."""
        return NOWHERE


class _Ranges:
    """Networks in order, each with the id of what it belongs to.

    An IPv6 network is told by its upper half; the few networks longer than /64 are left out.
    """

    def __init__(self) -> None:
        self._v4, self._v6 = array("I"), array("Q")
        self._v4_lengths, self._v6_lengths = array("B"), array("B")
        self._v4_ids, self._v6_ids = array("I"), array("I")

    def extend(self, firsts: Sequence[int], lengths: Sequence[int], ids: Sequence[int]) -> None:
        """Add networks that follow on those before; IPv4 is the part below 2**32."""
        count = bisect_right(firsts, _V4_END - 1)
        self._v4.extend(firsts[:count])
        self._v4_lengths.extend(lengths[:count])
        self._v4_ids.extend(ids[:count])
        kept = [at for at in range(count, len(firsts)) if lengths[at] <= _V6_BITS]
        self._v6.extend([firsts[at] >> _V6_BITS for at in kept])
        self._v6_lengths.extend([lengths[at] for at in kept])
        self._v6_ids.extend([ids[at] for at in kept])

    def find(self, address: Address) -> int | None:
        """Return the id of the network that holds `address`."""
        if address.version == 4:  # noqa: PLR2004 - IPv4
            return _find(int(address), _V4_BITS, self._v4, self._v4_lengths, self._v4_ids)
        upper = int(address) >> _V6_BITS
        return _find(upper, _V6_BITS, self._v6, self._v6_lengths, self._v6_ids)


def _find(
    number: int, bits: int, firsts: "array[int]", lengths: "array[int]", ids: "array[int]"
) -> int | None:
    at = bisect_right(firsts, number) - 1
    if at < 0 or number - firsts[at] >= 1 << (bits - lengths[at]):
        return None
    return ids[at]


class PackagedGeo:
    """Countries and network names of the database in geoip2fast; as `Geo` promises.

    The package's own lists take 107 MiB; as arrays the same takes about 25.
    """

    def __init__(self) -> None:
        path = Path(packaged.__file__).parent / PACKAGED_FILE
        database = packaged.GeoIP2Fast(geoip2fast_data_file=str(path))
        info = str(database.source_info).rpartition(":")[2]
        self.version: Final = f"geoip2fast-{version_of('geoip2fast')}:{info.replace(' ', '_')}"
        codes = [name.partition(":")[0] for name in packaged.mainListNamesCountry]
        self._countries = [
            code if place >= _RESERVED_IDS and len(code) == _COUNTRY else ""
            for place, code in enumerate(codes)
        ]
        self._names = [name[:AS_NAME_MAX] for name in packaged.mainListNamesASN]
        self._by_country = _ranges(packaged, "IDCountryCodes", "")
        self._by_network = _ranges(packaged, "IDASN", "ASN")
        for name in [name for name in vars(packaged) if name.startswith("main")]:
            setattr(packaged, name, [])  # nobody else looks up here
        del database
        gc.collect()  # the lists above hold each other in no cycle, but the package's object does

    def locate(self, address: Address) -> Place:
        """Look both tables up."""
        country = self._by_country.find(address)
        network = self._by_network.find(address)
        return Place(
            self._countries[country] if country is not None else "",
            0,
            self._names[network] if network else "",  # 0 is "unknown"
        )


def _ranges(module: Any, ids: str, suffix: str) -> _Ranges:  # noqa: ANN401 - an untyped package
    """Move one table over chunk by chunk, so that never both are whole in memory."""
    names = (f"mainListFirstIP{suffix}", f"mainListNetlength{suffix}", f"mainList{ids}")
    ranges = _Ranges()
    for chunks in zip(*(getattr(module, name) for name in names), strict=True):
        ranges.extend(*chunks)
        for chunk in chunks:
            chunk.clear()
    return ranges


class MmdbGeo:
    """MMDB files (GeoLite2, DB-IP, IPinfo and their like), looked up in turn; as `Geo` promises."""

    def __init__(self, readers: Sequence[tuple[str, Callable[[Address], Any]]]) -> None:
        self.version: Final = "+".join(name for name, _ in readers)
        self._reads = [read for _, read in readers]

    def locate(self, address: Address) -> Place:
        """Merge what the files say; the first that knows a thing counts."""
        country, asn, as_name = "", 0, ""
        for read in self._reads:
            row = read(address)
            if isinstance(row, dict):
                country = country or _country_of(row)
                asn = asn or _asn_of(row)
                as_name = as_name or _text_of(row, _NAME_KEYS)[:AS_NAME_MAX]
        return Place(country, asn, as_name)


_NAME_KEYS: Final = ("autonomous_system_organization", "as_name", "as_org", "organization")
_ASN_KEYS: Final = ("autonomous_system_number", "asn", "as_number")


def _text_of(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((value for key in keys if isinstance(value := row.get(key), str) and value), "")


def _country_of(row: Mapping[str, Any]) -> str:
    country = row.get("country")
    code = _text_of(country, ("iso_code",)) if isinstance(country, dict) else ""
    code = code or _text_of(row, ("country_code", "country"))
    return code.upper() if len(code) == _COUNTRY and code.isascii() and code.isalpha() else ""


def _asn_of(row: Mapping[str, Any]) -> int:
    for key in _ASN_KEYS:
        number = str(row.get(key, "")).upper().removeprefix("AS")
        if number.isascii() and number.isdigit() and int(number) <= ASN_MAX:
            return int(number)
    return 0


def open_geo(paths: Sequence[Path] = ()) -> Geo:
    """Open the MMDB files, or without any the packaged database. Raises `Misconfigured`."""
    if not paths:
        return PackagedGeo()
    readers: list[tuple[str, Callable[[Address], Any]]] = []
    for path in paths:
        try:
            # read whole: a mapped file that someone replaces in place would change its answers
            reader = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise Misconfigured(f"geo: {path.name} is no readable MMDB file") from error
        meta = reader.metadata()
        kind = meta.database_type.replace(" ", "_")[:64]
        readers.append((f"{kind}-{meta.build_epoch}", reader.get))
    return MmdbGeo(readers)
