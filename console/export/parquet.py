"""Parquet, piece by piece: each becomes one row group that is appended; the footer comes last.

A library's writer keeps what the footer needs in its own memory, so that a file half written is
lost with the process. Here each piece is a whole small file made by pyarrow, of which the row
group is appended and the footer kept; the last footer is theirs joined, with moved offsets.
"""

import io
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from console.export.thrift import I16, I64, LIST, STRUCT, List, Source, Struct, Value, dumps

MAGIC: Final = b"PAR1"
_TAIL: Final = 8  # the footer's length, and the magic again
# Field numbers of parquet.thrift.
_NUM_ROWS: Final = 3
_ROW_GROUPS: Final = 4
_COLUMNS: Final = 1
_GROUP_OFFSET: Final = 5
_ORDINAL: Final = 7
_META_DATA: Final = 3
_CHUNK_OFFSETS: Final = (2, 4, 6)  # file_offset, offset_index_offset, column_index_offset
_META_OFFSETS: Final = (9, 10, 11, 14)  # data, index and dictionary page, bloom filter
_ORDINALS_MAX: Final = 32_767


class Group(NamedTuple):
    """One row group: its bytes, and the footer of a file that has it alone after the magic."""

    body: bytes
    footer: bytes


def encode(table: pa.Table) -> Group:
    """Return the row group of a table. The same table gives the same bytes."""
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        row_group_size=max(1, table.num_rows),
        compression="zstd",
        compression_level=1,
        version="2.6",
        store_schema=False,
        # ids are all different: a dictionary of them would only be tried in vain
        use_dictionary=[name for name in table.column_names if name not in _DISTINCT],
    )
    whole = sink.getvalue()
    size = struct.unpack("<I", whole[-_TAIL:-4])[0]
    return Group(whole[len(MAGIC) : -_TAIL - size], whole[-_TAIL - size : -_TAIL])


_DISTINCT: Final = frozenset(
    {"event_id", "timestamp", "details", "request_id", "offset", "changes"}
)


def join(empty: pa.Schema, groups: Iterable[tuple[int, bytes]]) -> bytes:
    """Return the end of the file whose row groups begin at these offsets, with these footers."""
    joined = Source(encode(empty.empty_table()).footer).struct()
    found: list[bytes] = []  # written at once: as trees they would take a hundred times more
    rows = 0
    for place, footer in groups:
        told = Source(footer).struct()
        rows += told[_NUM_ROWS].value
        for group in told[_ROW_GROUPS].value.items:
            _move(group, place - len(MAGIC), len(found))
            found.append(dumps(group))
    joined[_NUM_ROWS] = Value(I64, rows)
    joined[_ROW_GROUPS] = Value(LIST, List(STRUCT, found))
    body = dumps(joined)
    return body + struct.pack("<I", len(body)) + MAGIC


def _move(group: Struct, by: int, ordinal: int) -> None:
    _shift(group, (_GROUP_OFFSET,), by)
    if ordinal <= _ORDINALS_MAX:
        group[_ORDINAL] = Value(I16, ordinal)
    else:
        group.pop(_ORDINAL, None)
    for chunk in group[_COLUMNS].value.items:
        _shift(chunk, _CHUNK_OFFSETS, by)
        _shift(chunk[_META_DATA].value, _META_OFFSETS, by)


def _shift(fields: Struct, numbers: Iterable[int], by: int) -> None:
    for number in numbers:
        if number in fields and fields[number].value:  # 0: there is none
            kind, value = fields[number]
            fields[number] = Value(kind, value + by)
