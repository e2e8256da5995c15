import ssl
from pathlib import Path

import pytest

from runtime.configuration import gather, load
from runtime.kafka_client import client_options
from runtime.settings import KafkaSettings
from schemas.errors import Misconfigured


def options(**environment: str) -> dict[str, object]:
    given = gather({f"AUDIT_KAFKA_{name.upper()}": value for name, value in environment.items()})
    return client_options(load(KafkaSettings, given))


def test_on_loopback_nothing_is_needed() -> None:
    assert options() == {"security_protocol": "PLAINTEXT"}


def test_a_password_is_used_only_where_it_is_asked_for() -> None:
    told = options(security_protocol="SASL_SSL", sasl_username="u", sasl_password="p")
    assert told["sasl_plain_password"] == "p"
    assert isinstance(told["ssl_context"], ssl.SSLContext)
    assert "sasl_plain_password" not in options(sasl_username="u", sasl_password="p")


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"ca\.pem\) can't be used: No such file"):
        options(security_protocol="SSL", ssl_ca_file=str(tmp_path / "ca.pem"))
