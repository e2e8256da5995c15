import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from cli import export as module
from cli.export import export
from schemas.errors import Unavailable

BODY = b'{"user":"u"}\n' * 1_000
SHA = hashlib.sha256(BODY).hexdigest()
MANIFEST = orjson.dumps(
    {
        "rows": 1000,
        "bytes": len(BODY),
        "sha256": SHA,
        "complete": True,
        "by": "x",
        "finished": "f",
        "export": "e1",
    }
)


class Fake:
    """An API with one export, whose downloads break off as often as it is told."""

    def __init__(self, breaks: int = 0, states: tuple[str, ...] = ("running", "done")) -> None:
        self.breaks = breaks
        self.states = list(states)
        self.posted: list[str] = []
        self.ranges: list[str | None] = []
        self.body = BODY

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        del body
        self.posted.append(path)
        return {"id": "e1"}

    def get(self, path: str) -> Any:
        del path
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {
            "id": "e1",
            "state": state,
            "rows": 10,
            "rows_total": 1000,
            "bytes": len(BODY),
            "sha256": SHA,
            "manifest_sha256": hashlib.sha256(MANIFEST).hexdigest(),
            "error": "the disk is full" if state == "failed" else None,
        }

    def get_bytes(self, path: str) -> bytes:
        del path
        return MANIFEST

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[bool, Iterator[bytes]]]:
        del path
        wanted = headers.get("Range")
        self.ranges.append(wanted)
        if wanted:
            assert headers["If-Range"] == f'"{SHA}"'
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        yield bool(wanted), self._blocks(start)

    def _blocks(self, start: int) -> Iterator[bytes]:
        if self.breaks:
            self.breaks -= 1
            yield self.body[start : start + 100]
            raise Unavailable("broke off")
        yield self.body[start:]

    def close(self) -> None:
        return


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(module, "POLL_S", 0)
    monkeypatch.setattr(module, "TRY_S", 0)

    def call(fake: Fake, *words: str) -> Any:
        monkeypatch.setattr(module, "connect", lambda *_: fake)
        target = str(tmp_path / "out.jsonl")
        return CliRunner().invoke(export, ["user:u", "-o", target, *words])

    return call


def test_file_and_manifest_are_written_and_proved(run: Any, tmp_path: Path) -> None:
    done = run(Fake())
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out.jsonl").read_bytes() == BODY
    assert (tmp_path / "out.jsonl.manifest.json").read_bytes() == MANIFEST
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out.jsonl",
        "out.jsonl.manifest.json",
    ]
    checked = CliRunner().invoke(export, ["verify", str(tmp_path / "out.jsonl")])
    assert checked.exit_code == 0


def test_download_that_breaks_off_goes_on_where_it_was(run: Any, tmp_path: Path) -> None:
    fake = Fake(breaks=3)
    assert run(fake).exit_code == 0
    assert fake.ranges == [None, "bytes=100-", "bytes=200-", "bytes=300-"]
    assert (tmp_path / "out.jsonl").read_bytes() == BODY


def test_call_with_resume_takes_up_what_an_earlier_call_began(run: Any, tmp_path: Path) -> None:
    first = Fake(breaks=100)
    assert run(first).exit_code != 0
    assert (tmp_path / "out.jsonl.part").stat().st_size == 800
    second = Fake()
    assert run(second, "--resume").exit_code == 0
    assert second.posted == []
    assert second.ranges == ["bytes=800-"]
    assert (tmp_path / "out.jsonl").read_bytes() == BODY


def test_resume_for_another_query_is_refused(run: Any, tmp_path: Path) -> None:
    run(Fake(breaks=100))
    done = run(Fake(), "--resume", "--format", "csv")
    assert done.exit_code != 0
    assert not (tmp_path / "out.jsonl").exists()


def test_file_that_is_there_is_not_overwritten(run: Any, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_bytes(b"mine")
    assert run(Fake()).exit_code != 0
    assert (tmp_path / "out.jsonl").read_bytes() == b"mine"


def test_what_came_wrongly_is_thrown_away(run: Any, tmp_path: Path) -> None:
    fake = Fake()
    fake.body = b"x" * len(BODY)
    assert run(fake).exit_code != 0
    assert not list(tmp_path.iterdir())


def test_failed_export_leaves_nothing_and_says_why(run: Any, tmp_path: Path) -> None:
    done = run(Fake(states=("failed",)))
    assert done.exit_code != 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", [b"", b"x", BODY[:-1], BODY + b"\n"])
def test_verify_finds_each_change(change: bytes, tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_bytes(change)
    (tmp_path / "out.jsonl.manifest.json").write_bytes(MANIFEST)
    assert CliRunner().invoke(export, ["verify", str(file)]).exit_code != 0
