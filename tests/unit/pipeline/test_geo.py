from ipaddress import ip_address
from typing import Any

import pytest

from pipeline.geo import MmdbGeo, NoGeo, Place, open_geo


@pytest.fixture(scope="module")
def packaged() -> Any:
    return open_geo()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("8.8.8.8", Place("US", 0, "GOOGLE")),
        ("1.1.1.1", Place("AU", 0, "CLOUDFLARENET")),
        ("2001:4860:4860::8888", Place("US", 0, "GOOGLE")),
        ("2a02:2e0::1", Place("DE", 0, "Plus.line AG")),
        ("203.0.113.42", Place()),
        ("::8.8.8.8", Place()),  # not the IPv4 address of that number
        ("ffff::1", Place()),
        ("0.0.0.1", Place()),
    ],
)
def test_the_packaged_database_knows_both_families(
    packaged: Any, address: str, place: Place
) -> None:
    assert packaged.locate(ip_address(address))._replace(as_name="") == place._replace(as_name="")
    if place.as_name:
        assert packaged.locate(ip_address(address)).as_name == place.as_name


def test_a_network_is_not_stretched_to_its_neighbour(packaged: Any) -> None:
    # the package itself answers with the network before: its check has the size of IPv6
    assert packaged.locate(ip_address("119.15.116.245")) == Place("JP", 0, "")


def test_the_version_names_package_and_date(packaged: Any) -> None:
    assert packaged.version.startswith("geoip2fast-")
    assert "GeoLite2" in packaged.version
    assert " " not in packaged.version


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([{"country": {"iso_code": "DE"}}], Place("DE")),
        ([{"country": "DE", "asn": "AS3320", "as_name": "DTAG"}], Place("DE", 3320, "DTAG")),
        ([{"country_code": "de"}], Place("DE")),
        (
            [
                {"country": {"iso_code": "DE"}},
                {"autonomous_system_number": 1, "autonomous_system_organization": "x" * 200},
            ],
            Place("DE", 1, "x" * 128),
        ),
        ([None, {"country": {"iso_code": "FR"}}, {"country_code": "DE"}], Place("FR")),
        ([{"country": {"iso_code": 7}, "asn": "ASx", "as_name": 1}], Place()),
        ([{"country": "Germany", "asn": 2**32}], Place()),
        ([[], "text", None], Place()),
    ],
)
def test_mmdb_rows_of_all_makers_are_read(rows: list[Any], place: Place) -> None:
    geo = MmdbGeo([(f"file{at}", lambda _address, row=row: row) for at, row in enumerate(rows)])  # type: ignore[misc]
    assert geo.locate(ip_address("8.8.8.8")) == place
    assert geo.version.startswith("file0")


def test_no_database_knows_nothing() -> None:
    assert NoGeo().locate(ip_address("8.8.8.8")) == Place()
