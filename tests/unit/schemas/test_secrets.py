"""Secrets: what is masked, and what only looks like it at first sight."""

from typing import Any

import pytest

from schemas import secrets
from schemas.event import decode
from schemas.secrets import (
    DEPTH_MAX,
    MASK,
    is_secret_key,
    mask_details,
    mask_text,
    may_hold_secret,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9"
CARD = "4111111111111111"


@pytest.mark.parametrize(
    "key",
    [
        "password", "Password", "new_password", "password2", "passwordConfirmation", "pwd",
        "secret", "client_secret", "secretAccessKey", "secret_value", "token", "tokens",
        "session_token", "accessToken", "authtoken", "api_key", "apiKey", "APIKey", "X-Api-Key",
        "apikey", "authorization", "Authorization", "private_key", "credentials", "cookie",
        "Set-Cookie", "pin", "pin_code", "otp", "mfa_code", "cvv", "card_number", "signature",
    ],
)  # fmt: skip
def test_key_tells_that_its_value_is_a_secret(key: str) -> None:
    assert is_secret_key(key)
    assert mask_details({key: "x"}) == {key: MASK}


@pytest.mark.parametrize(
    "key",
    [
        "token_count", "max_tokens", "token_expires_at", "secret_santa", "secretId", "author",
        "authority", "keyboard", "key", "primary_key", "monkey", "session_id", "access_key_id",
        "password_policy", "passport", "compass", "shipping", "spinning", "pinned", "pass_rate",
        "cookie_consent", "postcode", "status_code", "signatureVersion", "code", "", "***", "é",
    ],
)  # fmt: skip
def test_key_that_only_sounds_like_a_secret_is_left_alone(key: str) -> None:
    details = {key: "ordinary"}
    assert mask_details(details) is details


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (JWT, MASK),
        (f"session {JWT} ended", f"session {MASK} ended"),
        ("AKIAIOSFODNN7EXAMPLE", MASK),
        ("id=ASIAIOSFODNN7EXAMPLE!", f"id={MASK}!"),
        ("ghp_" + "a1" * 18, MASK),
        ("xoxb-123456789012-abcdef", MASK),
        ("sk_live_" + "4eC39HqLyjWD", MASK),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- x", f"{MASK} x"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", MASK),
        ("Authorization: Bearer abc123def456", f"Authorization: {MASK} {MASK}"),
        ("Bearer abc123def456", f"Bearer {MASK}"),
        ("https://bob:hunter2@example.com/x", f"https://bob:{MASK}@example.com/x"),
        ("https://x.org/?access_token=abc&page=2", f"https://x.org/?access_token={MASK}&page=2"),
        ('{"password": "two words", "a": 1}', f'{{"password": "{MASK}", "a": 1}}'),
        ('{\\"token\\":\\"abc\\"}', f'{{\\"token\\":\\"{MASK}\\"}}'),
        ("token_type:password=abc", f"token_type:password={MASK}"),
        (CARD, MASK),
        ("card 4111 1111 1111 1111.", f"card {MASK}."),
        ("3782-822463-10005 amex", f"{MASK} amex"),
    ],
)
def test_text_with_a_secret_is_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked
    assert mask_details({"note": text}) == {"note": masked}


@pytest.mark.parametrize(
    "text",
    [
        "2025-09-01 to 2025-09-30",
        "4111111111111112",  # the check digit is wrong
        "1760192595000123",  # microseconds since 1970
        "+4111111111111111",
        "41111111-1111-1111-1111-411111111111",
        "0.4111111111111111",
        "4111-11111111-1111",
        "basic configuration of bearer networks",
        "token_count=12345 pages",
        "password=",
        '{"token": null, "secret": true}',
        "http://example.com:8080/a@b",
        "key_AKIAIOSFODNN7EXAMPLE0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
        "sess_abc123def456",
        "lone surrogate \ud800 and nothing else",
    ],
)
def test_text_without_a_secret_comes_back_as_it_is(text: str) -> None:
    assert mask_text(text) is text
    details = {"note": text, "list": [text, {"deep": text}]}
    assert mask_details(details) is details


def test_shape_below_a_secret_key_stays() -> None:
    details = {"password": {"before": "a", "after": "b", "length": 8, "was_set": True, "x": None}}
    assert mask_details(details) == {
        "password": {"before": MASK, "after": MASK, "length": MASK, "was_set": True, "x": None}
    }


def test_value_beside_the_name_of_a_secret_is_masked() -> None:
    change = {"field": "api_key", "before": "x", "after": "y", "by": "jane"}
    assert mask_details({"changes": [change]}) == {
        "changes": [{"field": "api_key", "before": MASK, "after": MASK, "by": "jane"}]
    }


def test_number_that_is_a_card_is_masked() -> None:
    assert mask_details({"n": int(CARD), "big": 10**5000, "no": 1760192595000123}) == {
        "n": MASK,
        "big": 10**5000,
        "no": 1760192595000123,
    }


def test_what_lies_too_deep_to_look_at_is_masked() -> None:
    deep: Any = "bottom"
    for _ in range(DEPTH_MAX + 5):
        deep = {"a": deep}
    masked: Any = mask_details(deep)
    for _ in range(DEPTH_MAX):
        masked = masked["a"]
    assert masked == MASK


def test_original_is_not_changed() -> None:
    details = {"a": {"password": "x"}, "b": [{"token": "y"}]}
    mask_details(details)
    assert details == {"a": {"password": "x"}, "b": [{"token": "y"}]}


def test_long_run_of_names_takes_linear_time() -> None:
    text = "token_a:" * 30_000
    assert mask_text(text) == text


def test_every_secret_key_makes_its_message_suspect() -> None:
    pairs = {f"{a}{sep}{b}" for a, b in secrets._SECRET_PAIRS for sep in ("_", " ", " - ", "é", "")}
    tails = ("", "s", "_value", "Hash", " 2", "-new-base64", "é!", "s__2_OLD")
    for word in secrets._SECRET_WORDS | pairs | {"pass_word", "authToken", "myPassword"}:
        for key in (f"{head}{word}{tail}" for head in ("", "x_") for tail in tails):
            for raw in (f'{{"{key}":1}}', f'{{"{key.upper()}" : 1}}', f'{{"name":"{key}"}}'):
                assert may_hold_secret(raw.encode()) or not is_secret_key(key)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"\\u0070assword":"x"}',
        b'{"u":"https:\\/\\/u:pw@h"}',
        b'{"n":4111111111111111}',
        b'{"field" :\n"api_key","value":"x"}',
        b'{"note":"x AKIAIOSFODNN7EXAMPLE"}',
        b'{"note":"token=abcdefgh"}',
    ],
)
def test_what_may_hold_a_secret_is_suspect(raw: bytes) -> None:
    assert may_hold_secret(raw)


def test_a_plain_event_is_not_suspect() -> None:
    assert not may_hold_secret(
        b'{"timestamp":"2025-10-11T14:23:15Z","user":"jane.doe@company.com","session_id":"s_1",'
        b'"action":"api.key.created","user_agent":"Mozilla/5.0 (+http://example.com/bot)",'
        b'"details":{"error_code":7,"shipping":"x","typing":{"keyboard":1},"at_ms":1760108400000}}'
    )


def test_no_event_that_is_accepted_is_too_deep_to_be_masked() -> None:
    raw = b'{"timestamp":"2025-10-11T14:23:15Z","user":"u","action":"a.b","details":%b"%b"%b}'
    for depth in range(1, 252):
        details = decode(raw % (b'{"a":' * depth, b"plain text", b"}" * depth))["details"]
        assert mask_details(details) is details
