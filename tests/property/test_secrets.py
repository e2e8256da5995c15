"""Laws of masking: total, idempotent, bounded, and the same object where nothing is masked."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.secrets import (
    GROUP_BYTES_MAX,
    MASK,
    find_clean,
    mask_details,
    mask_text,
    may_hold_secret,
)

PIECES = st.sampled_from(
    [
        "password", "token", "=", ":", '"', "'", "\\", " ", "Bearer ", "basic ", "AKIA",
        "IOSFODNN7EXAMPLE", "eyJhbGciOiJIUzI1NiJ9.", "eyJzdWIiOiIx", "ghp_", "a1" * 18, "4111",
        "1111", "-", "4111111111111111", "3782 822463 10005", "https://", "user:pw@", "@", "/",
        "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "***", "{", "}", "[", "\n",
        "é", "\ud800", "xoxb-", "sk_live_", "key", "pin", "_", ".", "&", "0",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=12).map("".join))
KEYS = st.one_of(
    st.sampled_from(["password", "token", "field", "name", "value", "before", "a", "pin"]),
    st.text(max_size=8),
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS,
    st.sampled_from([4111111111111111, "4111111111111111"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
DETAILS = st.dictionaries(KEYS, VALUES, max_size=5)


@given(TEXTS)
def test_masking_a_text_twice_is_masking_it_once(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once
    assert len(once) <= 3 * len(text)


@given(DETAILS)
def test_masking_details_twice_is_masking_them_once(details: dict[str, Any]) -> None:
    once = mask_details(details)
    assert mask_details(once) is once
    assert set(once) == set(details)


@given(DETAILS)
def test_details_come_back_as_they_are_or_differ(details: dict[str, Any]) -> None:
    once = mask_details(details)
    assert (once is details) == (once == details)


@given(TEXTS, st.sampled_from(["password", "api_key", "otp", "session_token"]))
def test_no_text_under_a_secret_key_survives(secret: str, key: str) -> None:
    masked = mask_details({"outer": [{key: {"new": secret, "n": [secret]}}]})
    assert masked["outer"][0][key] in (
        {"new": MASK, "n": [MASK]},
        {"new": "", "n": [""]},  # nothing to hide
    )


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_what_json_gives_can_be_masked(raw: bytes) -> None:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        parsed = {"text": raw.decode("latin-1")}
    mask_details({"any": parsed})


RAW_KEYS = st.one_of(
    KEYS,
    st.sampled_from(
        ["apiKey", "X-Api-Key2", "pass word", "card - number", "PIN_code", "authTokens", "otp 2",
         "secretValue", "CC__Number", "setting", "\u212aey", "connectionString", "error_code"]
    ),
    st.lists(st.sampled_from(["api", "Key", "token", "s", "_", " ", "2", "Value", "é", "card",
                              "NUMBER", "hash", "pin"]), max_size=5).map("".join),
)  # fmt: skip
RAW_VALUES = st.recursive(
    st.one_of(LEAVES, RAW_KEYS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(RAW_KEYS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=500)
@given(st.dictionaries(RAW_KEYS, RAW_VALUES, max_size=4), st.sampled_from([None, 1]))
def test_what_is_not_suspect_holds_nothing_to_mask(
    event: dict[str, Any], indent: int | None
) -> None:
    try:
        raw = orjson.dumps(event, option=orjson.OPT_INDENT_2 if indent else None)
    except TypeError:  # lone surrogates, huge numbers: no JSON of ours
        return
    parsed = orjson.loads(raw)
    if not may_hold_secret(raw):
        assert mask_details(parsed) is parsed
        assert all(mask_text(text) is text for text in _texts(parsed))


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in _texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


@given(st.lists(st.none() | TEXTS.map(lambda text: text.encode("utf-8", "replace")), max_size=60))
def test_messages_looked_at_together_are_judged_as_each_by_itself(
    messages: list[bytes | None],
) -> None:
    alone = [not may_hold_secret(message or b"") for message in messages]
    assert list(find_clean(messages)) == alone


def test_message_too_large_to_be_looked_at_is_not_said_to_be_clean() -> None:
    large = b"a" * (GROUP_BYTES_MAX + 1)
    assert list(find_clean([b"a", large, b"a", b"a", large])) == [True, False, True, True, False]
