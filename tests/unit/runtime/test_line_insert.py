"""The statement that reads a file of lines."""

from pathlib import Path

from runtime.line_insert import Stamp, form_of, insert_from_file, text_file

ROWS = [
    ("tenant", "LowCardinality(String)", "", ""),
    ("flags", "Array(LowCardinality(String))", "", ""),
    ("result", "LowCardinality(String)", "DEFAULT", "'unknown'"),
    ("recorded", "DateTime64(3, 'UTC')", "", ""),
]


def test_form_reads_texts_as_texts_and_keeps_defaults() -> None:
    form = form_of(ROWS)

    assert form.columns == "`tenant`, `flags`, `result`, `recorded`"
    assert form.structure == (
        "`tenant` String, `flags` Array(String), `result` String DEFAULT 'unknown', "
        "`recorded` DateTime64(3, 'UTC')"
    )


def test_statement_quotes_what_it_is_given() -> None:
    told = insert_from_file(
        "t", form_of(ROWS[:1]), "/tmp/it's", Stamp("due", 7), {"a": "b'c", "n": 1}
    )

    assert told == (
        "INSERT INTO t (`due`, `tenant`) SELECT toDateTime(7, 'UTC'), `tenant` "
        "FROM file('/tmp/it\\'s', 'JSONEachRow', '`tenant` String') "
        "SETTINGS a = 'b\\'c', n = 1"
    )


def test_file_has_a_line_each_and_is_gone_after() -> None:
    lines = [b'{"n":%d}' % number for number in range(130)]
    with text_file(lines) as path:
        written = Path(path).read_bytes()

    assert written == b"".join(line + b"\n" for line in lines)
    assert not Path(path).exists()
