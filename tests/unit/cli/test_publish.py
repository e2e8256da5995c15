"""cli/publish.py: what it says beside its counts."""

from io import BytesIO
from typing import Any, Self

import pytest

from cli import publish
from producers.file import Counts, as_is
from runtime.settings import KafkaSettings


class Broker:
    """A publisher that is there."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


async def test_publishing_without_a_terminal_leaves_no_empty_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def nothing(*_: Any) -> Counts:
        return Counts()

    monkeypatch.setattr(publish, "Publisher", Broker)
    monkeypatch.setattr(publish, "publish_file", nothing)
    await publish._publish(KafkaSettings(), BytesIO(b""), as_is, None)
    assert capsys.readouterr() == ("", "")
