import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from console.export.parquet import MAGIC, encode, join
from console.export.thrift import Source, dumps


def tables(count: int, rows: int) -> list[pa.Table]:
    return [
        pa.table(
            {
                "n": list(range(k * rows, (k + 1) * rows)),
                "event_id": [f"id-{k}-{n}" for n in range(rows)],
                "flags": [["late", "protected"][: n % 3] for n in range(rows)],
                "role": [None if n % 2 else "admin" for n in range(rows)],
            },
            schema=SCHEMA,
        )
        for k in range(count)
    ]


SCHEMA = pa.schema(
    {
        "n": pa.uint64(),
        "event_id": pa.string(),
        "flags": pa.list_(pa.string()),
        "role": pa.string(),
    }
)


def joined(made: list[pa.Table]) -> bytes:
    file = bytearray(MAGIC)
    groups = []
    for table in made:
        group = encode(table)
        groups.append((len(file), group.footer))
        file += group.body
    return bytes(file + join(SCHEMA, groups))


@pytest.mark.parametrize(("count", "rows"), [(0, 0), (1, 1), (2, 7), (17, 3), (40, 100)])
def test_row_groups_appended_one_by_one_are_one_file(count: int, rows: int) -> None:
    made = tables(count, rows)
    file = pq.ParquetFile(io.BytesIO(joined(made)))
    assert file.metadata.num_rows == count * rows
    assert file.metadata.num_row_groups == count
    assert file.read().to_pylist() == [row for table in made for row in table.to_pylist()]


def test_each_row_group_can_be_read_alone() -> None:
    made = tables(5, 9)
    file = pq.ParquetFile(io.BytesIO(joined(made)))
    for number, table in enumerate(made):
        assert file.read_row_group(number).to_pylist() == table.to_pylist()


def test_same_tables_give_the_same_bytes() -> None:
    assert joined(tables(4, 50)) == joined(tables(4, 50))


def test_footers_are_read_and_written_back_byte_for_byte() -> None:
    for table in tables(3, 20):
        footer = encode(table).footer
        assert dumps(Source(footer).struct()) == footer
