"""What was asked stands in its event, whatever stands beside it, and a secret in it does not."""

import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.access import Principal
from console.ports import Read
from console.query.fault import QueryError
from console.query.parse import parse
from console.record.recording import event_of_read
from console.record.told import fingerprint, told_query, told_sql
from producers.message import to_message
from schemas.secrets import mask_text

BY = Principal("mallory", frozenset({"analyst"}), "office", "session", "k")
KEY = "-----BEGIN PRIVATE KEY-----"


def published(path: str = "/search", **asked: Any) -> dict[str, Any]:
    """Return what is told of a read once the publisher has masked it too."""
    raw = to_message(event_of_read(Read(path, asked, BY, 5), 1_760_000_000_000), "").value
    query: dict[str, Any] = orjson.loads(raw)["details"]["query"]
    return query


@pytest.mark.parametrize(
    "q",
    [
        f'-"{KEY}" user:ceo@company.com action:medical*',
        '"pin=" user:ceo@company.com',
        '-"code:" user:ceo@company.com',
        'text:"secret: " user:ceo@company.com',
        '"bearer" user:ceo@company.com',
        '-"x://a:" user:ceo@company.com',
        '-"x://:"user:ceo@company.com',
        '-"x://a:"user:ceo@company.com "@"',
        f'(user:ceo@company.com OR "{KEY}") -"token="',
        '"pin="user:ceo@company.com AND',
    ],
)
def test_a_term_that_looks_like_a_secret_hides_no_other_term(q: str) -> None:
    assert "ceo@company.com" in str(published(q=q)["q"])


@pytest.mark.parametrize(
    "q",
    ["text:AKIAABCDEFGHIJKLMNOP user:joe", "pin=hunter2 user:joe", "details.password:hunter2"],
)
def test_a_secret_in_a_term_is_masked_and_provable(q: str) -> None:
    told = published(q=q)

    assert "hunter2" not in str(told)
    assert "AKIAABCDEFGHIJKLMNOP" not in str(told)
    assert told["asked_sha256"] == hashlib.sha256(q.encode()).hexdigest()
    assert told["asked_length"] == len(q)


def test_a_query_without_secrets_is_told_as_one_canonical_text() -> None:
    assert told_query("user:joe   AND NOT result:success") == "user:joe -result:success"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'KEY', user FROM events_v1 WHERE user = 'ceo@company.com'".replace("KEY", KEY),
        "SELECT user AS pin FROM events_v1 WHERE pin = 'ceo@company.com'",
        "SELECT 'x://a:' FROM events_v1 WHERE user = 'ceo@company.com'",
        r"SELECT 'it\'s pin=' FROM events_v1 WHERE user = 'ceo@company.com'",
        "SELECT `pin=` FROM events_v1 WHERE user = 'ceo@company.com'",
    ],
)
def test_a_literal_that_looks_like_a_secret_hides_nothing_else_of_a_statement(sql: str) -> None:
    assert "ceo@company.com" in str(published("/sql", sql=sql)["sql"])


def test_a_secret_in_a_statement_is_masked_by_itself() -> None:
    told = told_sql(
        "SELECT count() FROM events_v1 WHERE details LIKE '%pin=1234%' AND user = 'joe'"
    )

    assert "1234" not in str(told)
    assert "'joe'" in str(told)


@given(st.text())
def test_each_piece_told_is_masked_already(text: str) -> None:
    for told in (told_query(text), told_sql(text)):
        for piece in [told] if isinstance(told, str) else told:
            assert mask_text(piece) == piece
    assert fingerprint(text)["asked_length"] == len(text)


@given(st.sampled_from(["user:ceo", "-action:a.b", "risk>50", "details.a:ceo", "ceo"]), st.text())
def test_no_words_beside_a_term_hide_it(term: str, words: str) -> None:
    query = f"{term} {words}"
    try:
        parse(query)
    except QueryError:
        return

    assert term.lstrip("-") in str(published(q=query)["q"])
