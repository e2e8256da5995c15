"""What all tests share: one real broker a session, and names that no other test uses."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.broker import EmbeddedKafka, ensure_installed

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def kafka_process() -> Iterator[EmbeddedKafka]:
    """The session's only broker, for tests that need more of it than its address."""
    folder = Path(tempfile.mkdtemp(prefix="audit-kafka-"))
    ensure_installed()
    broker = EmbeddedKafka(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(kafka_process: EmbeddedKafka) -> str:
    """The bootstrap address of the session's broker; do not stop or kill it."""
    return kafka_process.bootstrap


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> str:
    """A topic name that no other test of any run uses, recognisable in Kafka's logs."""
    test = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    return f"{test}-{os.getpid()}-{next(_NUMBERS)}"
