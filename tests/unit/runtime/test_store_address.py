"""The store's DSN: what is wrong is told, and nothing of it is quoted."""

import traceback

import pytest

from runtime.clickhouse import Store
from runtime.configuration import check, gather
from runtime.settings import StoreSettings
from runtime.store_address import parse_dsn
from schemas.errors import Misconfigured

BROKEN = [
    "clickhouse://user:SEK RET#2@127.0.0.1:1/audit",
    "clickhouse://user:p@SEK/RET@127.0.0.1:1/audit",
    "clickhouse://user:12/SEK@127.0.0.1:1/audit",
    "clickhouse://user:SEK?RET@127.0.0.1:1/audit",
    "clickhouse://user:[SEK@127.0.0.1:1/audit",
    "clickhouse://user:SEK\tRET@127.0.0.1:1/audit",
    "clickhouse://user:RET@SEK:abc/audit",
    "clickhouse://user:RET@SEK:99999/audit",
    "clickhouse://user:RET@SEK:0/audit",
    "clickhouse://user:RET@SEK host:1/audit",
    "clickhouse://user:RET@[SEK]:1/audit",
    "clickhouse://us%3AER:SEK@127.0.0.1:1/audit",
    "clickhouse://user:RET@127.0.0.1:1/SEK`; DROP",
    "chdb://SEK/RET",
    "chdb:///SEK#RET",
    "chdb://",
    "mysql://user:SEK@RET/db",
]


@pytest.mark.parametrize("dsn", BROKEN)
def test_a_dsn_that_is_not_whole_is_told_and_not_quoted(dsn: str) -> None:
    with pytest.raises(Misconfigured, match=r"^AUDIT_STORE_DSN: .*percent-encode") as raised:
        Store(dsn)
    shown = "".join(traceback.format_exception(raised.value)[-1:])
    assert "SEK" not in shown.upper()
    assert "RET" not in shown
    assert raised.value.__cause__ is raised.value.__context__ is None
    _rows, problems = check([StoreSettings], gather({"AUDIT_STORE_DSN": dsn}))
    assert len(problems) == 1
    assert problems[0].startswith("AUDIT_STORE_DSN (environment): ")
    assert "SEK" not in problems[0].upper()


def test_a_password_is_decoded_and_shown_nowhere() -> None:
    address = parse_dsn("clickhouse://us%40er:p%40ss%2Fw%23rd@db.example:9000/audit")
    assert (address.user, address.password) == ("us@er", "p@ss/w#rd")
    assert "p@ss" not in repr(address)
    assert "w%23rd" not in repr(address)


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("clickhouse://u:p@h/x", "clickhouse://h:8123/x"),
        ("clickhouses://h", "clickhouses://h:8443/audit"),
        ("clickhouse://u:p@[::1]:1/x", "clickhouse://[::1]:1/x"),
        ("chdb:///a/b c", "chdb:///a/b c"),
    ],
)
def test_a_store_is_named_without_user_and_password(dsn: str, name: str) -> None:
    assert Store(dsn).name == name
