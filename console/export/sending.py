"""A finished file as an answer: whole, or the range that a resumed download asks for."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, NamedTuple

from fastapi import Response
from starlette.responses import StreamingResponse

BLOCK: Final = 262_144
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Span(NamedTuple):
    """Bytes from `first` up to, but not including, `end`."""

    first: int
    end: int


def span_of(header: str | None, size: int) -> Span | None:
    """Return the range asked for; all of it where there is no header, or one not understood.

    None: the range begins behind the end. Several ranges at once are answered with all of it,
    as RFC 9110 allows.
    """
    found = _RANGE.fullmatch(header or "")
    if found is None or found[1] == found[2] == "":
        return Span(0, size)
    if not found[1]:  # so many at the end
        return Span(max(0, size - int(found[2])), size) if int(found[2]) else None
    first = int(found[1])
    end = size if not found[2] else min(size, int(found[2]) + 1)
    if first >= size:
        return None
    return Span(first, end) if first < end else Span(0, size)


class Asked(NamedTuple):
    """The headers that say which part is wanted, and of which version."""

    range: str | None
    if_range: str | None
    if_none_match: str | None


def send(path: Path, sha256: str, media_type: str, name: str, asked: Asked) -> Response:
    """Return the file, or of it what is asked for. Its name in the answer is ours."""
    size = path.stat().st_size
    tag = f'"{sha256}"'
    headers = {
        "etag": tag,
        "accept-ranges": "bytes",
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "private, no-cache",
    }
    if asked.if_none_match == tag:
        return Response(status_code=304, headers=headers)
    is_same = asked.if_range in (None, tag)
    span = span_of(asked.range if is_same else None, size)
    if span is None:
        return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
    headers["content-length"] = str(span.end - span.first)
    is_part = span != Span(0, size)
    if is_part:
        headers["content-range"] = f"bytes {span.first}-{span.end - 1}/{size}"
    return StreamingResponse(
        _blocks(path, span), 206 if is_part else 200, headers, media_type=media_type
    )


async def _blocks(path: Path, span: Span) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        file.seek(span.first)
        left = span.end - span.first
        while left:
            block = await asyncio.to_thread(file.read, min(BLOCK, left))
            if not block:  # the file was removed and made shorter: the client sees the length
                return
            left -= len(block)
            yield block
    finally:
        file.close()
