"""Secrets in events and texts: found by key or by look, and masked. Pure; used on both ends.

Blind spot: a secret that has neither a telling key nor a known form (a bare password in prose).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import re2

MASK: Final = "***"

DEPTH_MAX: Final = 254  # as deep as an event may nest; what lies deeper is masked unseen
_PASSES_MAX: Final = 8  # a mask can end a word and so uncover another secret: look again
_TEXT_MIN: Final = 8  # "pin=1234" is the shortest text worth a look
_CLEAN_MAX: Final = 8192  # texts known to be clean; 8192 * 128 characters are about 2 MB
_CLEAN_CHARS_MAX: Final = 128
_CARD_MIN: Final = 10**12  # 13 digits
_CARD_END: Final = 10**19  # 20 digits
_KEYS_MAX: Final = 8192
GROUP_MAX: Final = 16  # messages that are looked at together; more gain nothing
GROUP_BYTES_MAX: Final = 65_536
_KEY_CHARS_MAX: Final = 256  # a longer key tells by its end


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that make a key secret if they stand last in it.
_SECRET_WORDS: Final = _words(
    "password passwd pwd passphrase passcode pass secret token jwt apikey privatekey "
    "authorization credential cookie pin otp totp cvv cvc cvv2 cvc2 signature"
)
# Pairs of words that do so only together.
_SECRET_PAIRS: Final = frozenset(
    {(first, "key") for first in ("api", "private", "secret", "access", "signing", "encryption")}
    | {(first, "key") for first in ("master", "session", "ssh", "shared", "service", "license")}
    | {(first, "code") for first in ("mfa", "verification", "recovery", "backup", "sms", "login")}
    | {(first, "code") for first in ("auth", "authorization", "security", "access", "otp", "pin")}
    | {("card", "number"), ("cc", "number"), ("security", "answer"), ("set", "cookie")}
    | {("connection", "string"), ("pass", "word")}
)
# Words that say "this holds the value itself"; they are skipped at the end of a key.
_VALUE_WORDS: Final = _words(
    "value values string text hash plain plaintext encrypted binary data raw base64 b64 new old "
    "current previous header confirmation confirm repeat again"
)
# Joined words: "authtoken", "clientsecret"; the ends that are never another word's end.
_SECRET_ENDS: Final = ("password", "passwd", "secret", "token", "apikey", "privatekey")
# "max_tokens" and its like count a language model's tokens.
_COUNTING_WORDS: Final = _words("max min total used input output prompt completion")
# Keys whose value names a field, as in {"name": "api_key", "value": "..."}.
_NAMING_KEYS: Final = _words("name field key setting parameter header attribute")
_NAMED_VALUES: Final = _words(
    "value values before after old new from to old_value new_value oldValue newValue"
)

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # "XApiKey2" -> X Api Key 2

# Known forms of tokens. Each begins with what only such a token begins with.
_TOKENS: Final = (
    r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"  # JWT
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS access key id
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{8,}|\bxapp-[A-Za-z0-9-]{8,}"  # Slack
    r"|\bhooks\.slack\.com/services/[A-Za-z0-9/_-]{8,}"
    r"|\b[srp]k_(?:live|test)_[A-Za-z0-9]{8,}|\bwhsec_[A-Za-z0-9+/=]{8,}"  # Stripe
    r"|\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}"  # Google
    r"|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"  # SendGrid
    r"|\bsk-[A-Za-z0-9_-]{20,}|\bhf_[A-Za-z0-9]{20,}"  # model vendors
    r"|\bnpm_[A-Za-z0-9]{36}|\bpypi-[A-Za-z0-9_-]{32,}|\bdop_v1_[a-f0-9]{32,}"
)
_PEM_BEGIN: Final = r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PEM: Final = rf"(?s){_PEM_BEGIN}.*?(?:-----END [A-Z ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----|\z)"
_SCHEME: Final = r"(?i)\b((?:bearer|basic|ssws) +)([A-Za-z0-9._~+/=-]{8,})"
_URL: Final = r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:)([^/\s@]+)@"
_CARD: Final = (
    r"\b[2-6]\d{12,18}\b|\b[2-6]\d{3}(?:[ -]\d{4}){3}(?:[ -]\d{3})?\b"
    r"|\b3\d{3}[ -]\d{6}[ -]\d{4,5}\b"
)
_STEMS: Final = (
    r"(?:pass|pwd|secret|token|jwt|key|authorization|credential|cookie|pin|otp|cvv|cvc|code"
    r"|signature|answer|connection.?string|card.?number|cc.?number)"
)
_NAME: Final = rf"(?i)[A-Za-z0-9_.-]*{_STEMS}[A-Za-z0-9_.-]*(?:\\?[\"'])? {{0,2}}[:=] {{0,2}}"

_find_token: Final = re2.compile(_TOKENS)
_find_pem: Final = re2.compile(_PEM)
_find_scheme: Final = re2.compile(_SCHEME)
_find_url: Final = re2.compile(_URL)
_find_card: Final = re2.compile(_CARD)
_find_name: Final = re2.compile(_NAME)
# What a name=value pair's value may be: quoted up to its quote, else up to a delimiter.
_PAIR_VALUE: Final = re.compile(r"""\\?"[^"\\]*|\\?'[^'\\]*|(?![\[{])[^\s"'&,;\\<>()\[\]{}]+""")
_PLAIN_VALUES: Final = frozenset({"null", "none", "true", "false", "", MASK})

# One automaton answers "is there anything at all" in one pass; nearly every text ends here.
_suspects: Final = re2.Set.SearchSet()
for _pattern in (_TOKENS, _PEM_BEGIN, _SCHEME, _URL, _CARD, _NAME):
    _suspects.Add(_pattern)
_suspects.Compile()
_match_any: Final[Callable[[str], list[int] | None]] = _suspects.Match


# The same question of a whole JSON message. Without escapes a quote ends every text in it, and a
# key is a text before a colon, read from its end as `_is_secret` does; with escapes it is suspect.
_KEY_WORDS: Final = "|".join(
    sorted(_SECRET_WORDS | {rf'{first}[^a-z"]*{last}' for first, last in _SECRET_PAIRS})
)
_KEY_END: Final = rf'(?:{_KEY_WORDS})s?(?:[^a-z"]|{"|".join(sorted(_VALUE_WORDS))})*"'
_suspect_messages: Final = re2.Set.SearchSet()
_suspect_messages.Add(
    "|".join(
        (
            *(f"(?:{pattern})" for pattern in (_TOKENS, _PEM_BEGIN, _SCHEME, _CARD)),
            r'[A-Za-z]://[^/\s:@"]*:[^/\s@"]+@',
            rf"(?i:{_STEMS}[A-Za-z0-9_.-]*'? {{0,2}}[:=])",
            rf"(?i:{_KEY_END}\s*:)",
            rf'(?i:"(?:{"|".join(sorted(_NAMING_KEYS))})"\s*:\s*"[^"]*{_KEY_END})',
            r"\\",
        )
    )
)
_suspect_messages.Compile()
_match_message: Final[Callable[[bytes], list[int] | None]] = _suspect_messages.Match


class _Match(Protocol):
    """What we use of a match of re2."""

    string: str

    def group(self, number: int, /) -> str: ...
    def start(self) -> int: ...
    def end(self) -> int: ...


_NEITHER: Final = 0
_SECRET: Final = 1
_NAMING: Final = 2
_key_kinds: Final[dict[str, int]] = {}
_clean: Final[dict[str, None]] = {}


def mask_details(details: dict[str, Any]) -> dict[str, Any]:
    """Return the same object if it holds no secret, else a copy with each secret masked.

    Total and idempotent on what JSON can hold. Under a secret key every text and number is
    masked and the shape stays, so that a change of a secret still shows as a change.
    """
    masked: dict[str, Any] = _mask_dict(details, DEPTH_MAX)
    return masked


def mask_text(text: str) -> str:
    """Mask what looks like a token, key, card number or a key=value pair of secret name.

    Idempotent; returns the same object if nothing is masked. At most doubles a text.
    """
    if len(text) < _TEXT_MIN or text in _clean:
        return text
    try:
        found = _match_any(text)
    except UnicodeEncodeError:  # lone surrogates, which JSON can't carry
        sound = text.encode("utf-8", "replace").decode()
        masked = mask_text(sound)
        return text if masked == sound else masked
    if found is not None:
        return _mask_suspect(text)
    if len(text) <= _CLEAN_CHARS_MAX:
        if len(_clean) >= _CLEAN_MAX:
            _clean.clear()
        _clean[text] = None
    return text


def may_hold_secret(message: bytes) -> bool:
    """Say of a JSON message, in one pass, whether anything in it could be masked.

    False is certain: then no text in it and no object in it has anything to mask. True only
    means that it must be looked at, as every message with an escape must.
    """
    return _match_message(message) is not None


def find_clean(messages: Sequence[bytes | None]) -> Iterator[bool]:
    """Say of each JSON message in turn whether it certainly holds nothing to mask.

    Messages that follow clean ones are looked at together: a look has its price at any length.
    False may also mean that nobody looked.
    """
    start, size = 0, 1
    while start < len(messages):
        group = messages[start : start + size]
        start += size
        if _is_clean(group):
            yield from [True] * len(group)
            size = min(2 * size, GROUP_MAX)
        elif size == 1:
            yield False
        else:
            for message in group:
                yield _is_clean((message,))
            size = 1


def _is_clean(group: Sequence[bytes | None]) -> bool:
    """Look at messages together; no pattern is anchored, so a line break between hides nothing."""
    messages = list(filter(None, group))
    if sum(map(len, messages)) > GROUP_BYTES_MAX:
        return False  # a message of gigabytes is neither copied nor read
    return not may_hold_secret(b"\n".join(messages))


def is_secret_key(key: str) -> bool:
    """Say whether a key's name tells that its value is a secret: `token`, but not `token_count`."""
    return _kind_of(key) == _SECRET


def _mask_dict(details: dict[str, Any], depth: int) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in details.items():
        kind = _key_kinds.get(key)
        if kind is None:
            kind = _kind_of(key)
        if kind == _SECRET:
            new = _mask_all(value, depth - 1)
        elif type(value) is str:
            if kind == _NAMING and value and _kind_of(value) == _SECRET:
                changed.update(_named_values(details, depth - 1))
            if len(value) < _TEXT_MIN or value in _clean:
                continue
            new = mask_text(value)
        else:
            new = _mask_value(value, depth - 1)
        if new is not value and new != value:
            changed[key] = new
    if not changed:
        return details
    return {**details, **changed}


def _mask_value(value: object, depth: int) -> object:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, int):
        return MASK if _CARD_MIN <= value < _CARD_END and _is_card(str(value)) else value
    if not isinstance(value, dict | list | tuple):
        return value
    if depth <= 0:
        return MASK
    if isinstance(value, dict):
        return _mask_dict(value, depth)
    masked = [_mask_value(item, depth - 1) for item in value]
    is_same = all(new is old for new, old in zip(masked, value, strict=True))
    return value if is_same else masked


def _mask_all(value: object, depth: int) -> object:
    """Mask every text and number below a secret key; null, true, false and "" tell nothing."""
    if value is None or isinstance(value, bool) or value in ("", MASK):
        return value
    if depth > 0 and isinstance(value, dict):
        return {key: _mask_all(item, depth - 1) for key, item in value.items()}
    if depth > 0 and isinstance(value, list | tuple):
        return [_mask_all(item, depth - 1) for item in value]
    return MASK


def _named_values(details: dict[str, Any], depth: int) -> dict[str, Any]:
    return {key: _mask_all(value, depth) for key, value in details.items() if key in _NAMED_VALUES}


def _kind_of(key: str) -> int:
    kind = _key_kinds.get(key)
    if kind is None:
        if _is_secret(key[-_KEY_CHARS_MAX:]):
            kind = _SECRET
        else:
            kind = _NAMING if key.lower() in _NAMING_KEYS else _NEITHER
        if len(key) <= _KEY_CHARS_MAX:
            if len(_key_kinds) >= _KEYS_MAX:
                _key_kinds.clear()
            _key_kinds[key] = kind
    return kind


def _is_secret(key: str) -> bool:
    words = [word.lower() for word in _WORDS.findall(key)]
    while len(words) > 1 and (words[-1] in _VALUE_WORDS or words[-1].isdigit()):
        words.pop()
    if not words:
        return False
    last = words[-1]
    if last.endswith("s") and last != "pass":
        last = last[:-1]
        if last == "token" and _COUNTING_WORDS.intersection(words):
            return False
    if last in _SECRET_WORDS or last.endswith(_SECRET_ENDS):
        return True
    return len(words) > 1 and (words[-2], last) in _SECRET_PAIRS


def _mask_suspect(text: str) -> str:
    masked = text
    for _ in range(_PASSES_MAX):
        before = masked
        masked = _find_pem.sub(_mask_whole, masked)
        masked = _find_token.sub(_mask_whole, masked)
        masked = _find_scheme.sub(_mask_scheme, masked)
        masked = _find_url.sub(_mask_url, masked)
        masked = _find_card.sub(_mask_card, masked)
        masked = _mask_pairs(masked)
        if masked == before:
            return text if masked == text else masked
    return MASK  # never seen; a text that can't be cleaned is not let through


def _mask_whole(_match: _Match) -> str:
    return MASK


def _mask_scheme(match: _Match) -> str:
    scheme, token = match.group(1), match.group(2)
    # "basic configuration" is prose; a token of that length has a digit or padding
    is_token = token.endswith("=") or any(char.isdigit() for char in token)
    return f"{scheme}{MASK}" if is_token else str(match.group(0))


def _mask_url(match: _Match) -> str:
    return f"{match.group(1)}{MASK}@"


def _mask_card(match: _Match) -> str:
    found = str(match.group(0))
    text, start, end = match.string, match.start(), match.end()
    before, after = text[start - 1 : start], text[end : end + 2]
    is_inside = before.isalnum() or before in {"+", ".", "-", "_"} or after[:1].isalnum()
    if is_inside or (after[:1] in {"-", ".", "_"} and after[1:].isalnum()):
        return found
    return MASK if _is_card(found) else found


# First digits and lengths that the card networks use; ids, phone numbers and clocks have others.
_CARD_FORMS: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7]|35|6[045])\d{14}(?:\d{3})?|3[47]\d{13}"
    r"|3[068]\d{12}(?:\d{2})?|(?:62|5[06-8]|6[37])\d{11,17}"
)


def _is_card(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")
    return bool(_CARD_FORMS.fullmatch(digits)) and _is_luhn(digits)


def _is_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004 - the sum of two digits
    return total % 10 == 0


def _mask_pairs(text: str) -> str:
    parts: list[str] = []
    done = 0
    for match in _find_name.finditer(text):
        if match.start() < done:
            continue  # inside the value before
        if not is_secret_key(match.group(0).rstrip(" :=\"'\\")):
            continue  # before its value is looked for: each value is read once, so all is linear
        value = _PAIR_VALUE.match(text, match.end())
        if value is None:
            continue
        found = value.group(0)
        bare = found.lstrip("\\\"'")
        if bare.lower() in _PLAIN_VALUES:
            continue
        parts += (text[done : match.end()], found[: len(found) - len(bare)], MASK)
        done = value.end()
    return "".join(parts) + text[done:] if parts else text
