"""How Faust is told to reach the broker; aiokafka's clients have `runtime.kafka_client`."""

from faust.auth import SASLCredentials, SSLCredentials

from runtime.kafka_client import client_options
from runtime.settings import KafkaSettings


def faust_credentials(kafka: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    """Return what Faust's consumer needs beside the address; None on a plain connection."""
    context = client_options(kafka).get("ssl_context")
    if kafka.security_protocol.startswith("SASL"):
        return SASLCredentials(
            mechanism=kafka.sasl_mechanism,
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None
