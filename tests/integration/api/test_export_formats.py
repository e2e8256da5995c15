"""What the files of exports hold: every event as the API answers it, in each format."""

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from console.export.fields import FIELDS
from console.search.rendering import render_event
from runtime.clickhouse import Store
from schemas.spreadsheet import defused
from tests.integration.api.exporting import (
    EXPORTED,
    FORMULAS,
    Office,
    export,
    filled_store,
    open_office,
    stored_rows,
)


@pytest.fixture(scope="module")
def filled(store: Store) -> Iterator[Store]:
    with filled_store(store) as made:
        yield made


@pytest.fixture
async def office(filled: Store, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_office(filled, tmp_path) as made:
        yield made


def rendered(store: Store, where: str = "1") -> dict[tuple[str, int], dict[str, Any]]:
    rows = stored_rows(store, where)
    return {
        (row["incarnation"], row["offset"]): json.loads(orjson.dumps(render_event(row)))
        for row in rows
    }


def details_of(text: bytes) -> str:
    """The details as they stand in the line."""
    start = text.index(b',"details":') + len(b',"details":')
    _, end = json.JSONDecoder().raw_decode(text.decode(), len(text[:start].decode()))
    return text.decode()[len(text[:start].decode()) : end]


async def test_lines_are_what_the_api_answers_for_each_event_however_hostile(
    office: Office, filled: Store
) -> None:
    shown, body, _ = await export(office)
    lines = body.splitlines(keepends=False)
    assert body.endswith(b"\n")
    assert len(body.split(b"\n")) - 1 == shown["rows"]
    wanted = rendered(filled, EXPORTED)
    assert shown["rows"] == len(wanted) == shown["rows_total"]
    found = [json.loads(line) for line in body.split(b"\n")[:-1]]
    by_id: dict[str, list[Any]] = {}
    for one in wanted.values():
        by_id.setdefault(one["event_id"], []).append(one)
    for one in found:
        assert one in by_id[one["event_id"]], one["offset"]
        assert list(one) == list(by_id[one["event_id"]][0])
    assert sorted(one["event_id"] for one in found) == sorted(
        one["event_id"] for one in wanted.values()
    )
    assert len(lines) >= len(found)


async def test_details_are_taken_over_byte_for_byte(office: Office, filled: Store) -> None:
    _, body, _ = await export(office)
    wanted = {}
    for row in stored_rows(filled, EXPORTED):
        text = orjson.dumps(render_event(row)["details"]).decode()
        wanted[row["incarnation"], row["offset"]] = text.translate({10: " ", 13: " "})
    texts = sorted(wanted.values())
    found = sorted(details_of(line) for line in body.split(b"\n")[:-1])
    assert found == texts
    assert any("123456789012345678901234567890" in text and "12.40" in text for text in found)
    assert any(text == '{"password":"***"}' for text in found)
    assert not any("hunter2" in text for text in found)


async def test_order_is_that_of_time_and_nothing_stands_twice(office: Office) -> None:
    _, body, _ = await export(office)
    found = [orjson.loads(line) for line in body.split(b"\n")[:-1]]
    minutes = [one["timestamp"][:16] for one in found]
    assert minutes == sorted(minutes)
    assert len({one["event_id"] for one in found} | {"same"}) >= len(found) - 1


async def test_csv_is_read_back_whole_and_holds_no_formula(office: Office, filled: Store) -> None:
    shown, body, _ = await export(office, format="csv")
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    wanted = rendered(filled, EXPORTED)
    assert len(rows) == shown["rows"] == len(wanted)
    assert not any(
        cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values()
    )
    users = {row["user"] for row in rows}
    assert {f"'{text}" for text in FORMULAS} <= users
    assert {"two\nlines\r\nand more", 'a "quoted", text', "Größe 大きさ 🙂"} <= users
    assert any(user.startswith("\x01\x02\x00 controls") for user in users)
    by_id = {one["event_id"]: one for one in wanted.values()}
    for row in rows:
        one = by_id[row["event_id"]]
        if row["event_id"] == "same":
            continue
        assert json.loads(row["details"]) == one["details"]
        assert row["timestamp"] == one["timestamp"]
        assert row["ip_address"] == (one["ip_address"] or "")
        assert row["geo_asn"] == str(one["geo"]["asn"] or "")
        assert json.loads(row["changes"]) == one["changes"]
        assert row["flags"] == ";".join(one["flags"])


async def test_parquet_is_read_back_whole_with_types_and_nulls(
    office: Office, filled: Store
) -> None:
    shown, body, _ = await export(office, format="parquet")
    table = pq.read_table(io.BytesIO(body))
    wanted = rendered(filled, EXPORTED)
    assert table.num_rows == shown["rows"] == len(wanted)
    assert pq.ParquetFile(io.BytesIO(body)).metadata.num_row_groups > 3
    by_id = {one["event_id"]: one for one in wanted.values()}
    for row in table.to_pylist():
        one = by_id[row["event_id"]]
        if row["event_id"] == "same":
            continue
        assert json.loads(row["details"]) == one["details"]
        assert row["user"] == one["user"]
        assert row["role"] == one["role"]
        assert row["ip_address"] == one["ip_address"]
        assert row["geo_asn"] == one["geo"]["asn"]
        assert row["flags"] == one["flags"]
        assert row["offset"] == one["offset"]
        assert str(row["retain_until"] or "") == (one["retain_until"] or "")
        stamp = row["timestamp"].isoformat().replace("+00:00", "")
        assert one["timestamp"].startswith(stamp.removesuffix("000000"))


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
async def test_an_export_of_nothing_is_a_whole_file(office: Office, form: str) -> None:
    shown, body, manifest = await export(office, q="user:nobody-at-all", format=form)
    assert shown["rows"] == 0
    assert manifest["rows"] == 0
    if form == "parquet":
        assert pq.read_table(io.BytesIO(body)).num_rows == 0
    else:
        assert body.count(b"\r\n") == (form == "csv")


async def test_the_store_takes_for_a_formula_what_pages_take_for_one(filled: Store) -> None:
    texts = [*FORMULAS, "", "a=1", " a", "'=1", "a@b.com", "grün", "x\n=1"]
    cells = store_cells(filled, texts)
    assert cells == [defused(text) for text in texts]


def store_cells(store: Store, texts: list[str]) -> list[str]:
    """The texts as the SQL of exports writes them into a CSV."""
    words = [
        "SELECT",
        FIELDS["user"].cell,
        "AS cell FROM",
        "(SELECT arrayJoin({t:Array(String)}) AS user)",
    ]
    sql = " ".join(words)
    cells = [row["cell"] for row in store.query(sql, {"t": texts})]
    return [
        row[0] if row else ""
        for cell in cells
        for row in csv.reader(io.StringIO(cell + "\r\n", newline=""))
    ]


async def test_columns_are_those_chosen_in_the_order_of_the_api(office: Office) -> None:
    _, body, manifest = await export(office, columns=["offset", "user", "geo"])
    assert list(orjson.loads(body.split(b"\n")[0])) == ["user", "geo", "offset"]
    _, body, _ = await export(office, columns=["offset", "user", "geo"], format="csv")
    assert body.split(b"\r\n")[0] == b"user,geo_country,geo_asn,geo_as_name,offset"
    assert manifest["columns"] == ["offset", "user", "geo"]
