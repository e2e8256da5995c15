"""How settings become what Kafka's clients are built with."""

import ssl
from typing import Any

from aiokafka.helpers import create_ssl_context

from runtime.settings import KafkaSettings
from schemas.errors import Misconfigured


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return what aiokafka's clients need beside the address: security and certificates.

    Raises `Misconfigured` when a certificate file can't be used.
    """
    options: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.security_protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.get_secret_value(),
        }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(kafka)
    return options


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    files = [kafka.ssl_ca_file, kafka.ssl_certificate_file, kafka.ssl_key_file]
    ca, certificate, key = (str(path) if path else None for path in files)
    try:
        context: ssl.SSLContext = create_ssl_context(cafile=ca, certfile=certificate, keyfile=key)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(str(path) for path in files if path)
        reason = error.strerror or type(error).__name__
        raise Misconfigured(f"Kafka's TLS files ({named}) can't be used: {reason}") from error
    return context
