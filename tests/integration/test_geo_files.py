"""MMDB files on a real disk: opened, looked up, and through the setting up to a record."""

import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from cli.judging import build_stage, lookup_paths
from detections.sigma.detector import SigmaDetector
from detections.sigma.load import load_rules
from pipeline.geo import Place, open_geo
from pipeline.lookups import LookupFiles
from pipeline.stage import Where
from runtime.configuration import gather, load
from runtime.settings import PipelineSettings
from schemas.errors import Misconfigured
from tests.mmdb import write_mmdb

NAME = "Deutsche Telekom AG, with a name that takes more than twenty-eight bytes"
COUNTRIES = {
    "203.0.113.0/25": {"country": {"iso_code": "DE", "names": {"en": "Germany"}}},
    "203.0.113.128/25": {"country": {"iso_code": "FR"}},
    "2001:db8:1::/48": {"country": {"iso_code": "JP"}},
}
NETWORKS = {
    "203.0.112.0/22": {"autonomous_system_number": 3320, "autonomous_system_organization": NAME},
    "2001:db8::/32": {"autonomous_system_number": 4_200_000_000},
}


@pytest.fixture
def countries(tmp_path: Path) -> Path:
    return write_mmdb(
        tmp_path / "country.mmdb", COUNTRIES, kind="Test Country", epoch=1_760_000_000
    )


@pytest.fixture
def networks(tmp_path: Path) -> Path:
    return write_mmdb(tmp_path / "asn.mmdb", NETWORKS, kind="Test-ASN", epoch=1_760_000_001)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        pytest.param("203.0.113.42", Place("DE", 3320, NAME), id="v4"),
        pytest.param("203.0.113.127", Place("DE", 3320, NAME), id="the last of a network"),
        pytest.param("203.0.113.128", Place("FR", 3320, NAME), id="the first of the next"),
        pytest.param("203.0.112.1", Place("", 3320, NAME), id="one file knows it"),
        pytest.param("203.0.116.1", Place(), id="beside all networks"),
        pytest.param("2001:db8:1::2a", Place("JP", 4_200_000_000), id="v6"),
        pytest.param("2001:db8:2::", Place("", 4_200_000_000), id="v6, one file knows it"),
        pytest.param("2001:db9::", Place(), id="v6 beside all networks"),
        pytest.param("8.8.8.8", Place(), id="not of the packaged database"),
    ],
)
def test_files_answer_for_both_families_together(
    countries: Path, networks: Path, address: str, place: Place
) -> None:
    geo = open_geo([countries, networks])
    assert geo.locate(ip_address(address)) == place


def test_version_names_every_file_and_its_date(countries: Path, networks: Path) -> None:
    geo = open_geo([countries, networks])
    assert geo.version == "Test_Country-1760000000+Test-ASN-1760000001"


def test_file_that_is_cut_is_refused_by_name(countries: Path) -> None:
    countries.write_bytes(countries.read_bytes()[:-40])
    with pytest.raises(Misconfigured, match=r"country\.mmdb is no readable MMDB file"):
        open_geo([countries])


def record_of(address: str, *files: Path) -> dict[str, Any]:
    """Give the record of an event from there, under settings that name the files."""
    setting = {"AUDIT_PIPELINE_GEO_FILES": " ".join(map(str, files))}
    settings = load(PipelineSettings, gather(setting))
    stage = build_stage(
        settings, LookupFiles(lookup_paths(settings)).lookups, SigmaDetector(load_rules(())), "i"
    )
    event = {
        "timestamp": "2025-10-11T14:23:15Z",
        "user": "jane",
        "action": "user.viewed",
        "ip_address": address,
    }
    judged = stage.judge(json.dumps(event).encode(), Where("i", "audit.events", 0, 0), 0)
    row: dict[str, Any] = json.loads(judged.line)
    return row


@pytest.mark.parametrize(
    ("address", "country", "asn"),
    [("203.0.113.200", "FR", 3320), ("2001:db8:1::2a", "JP", 4_200_000_000)],
)
def test_setting_that_names_files_reaches_the_record(
    countries: Path, networks: Path, address: str, country: str, asn: int
) -> None:
    row = record_of(address, countries, networks)
    assert (row["geo_country"], row["geo_asn"]) == (country, asn)
    assert "geo=Test_Country-1760000000+Test-ASN-1760000001 " in row["versions"]


def test_address_that_no_file_knows_has_no_place_in_its_record(countries: Path) -> None:
    assert "geo_country" not in record_of("9.9.9.9", countries)
