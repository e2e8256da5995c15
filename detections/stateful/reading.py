"""How stage 1 reads what rules with a memory group by and count. Pure."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice, product
from typing import Any, Final
from unicodedata import category, normalize

from detections.rule import Derived, Fields
from detections.sigma.ruleset import CorrelationPlan, Getter, RuleSet
from detections.sigma.view import Read
from detections.stateful.adding import AMOUNT_MAX, scaled
from schemas.secrets import mask_text
from schemas.signal import Value, bound_text

GROUPS_MAX: Final = 16  # of one event and rule: fields that are lists make several
VALUES_MAX: Final = 64  # of one event and rule
CARRIED_MAX: Final = 8_192  # texts whose answer is remembered, of each kind; some 4 MB

# Fields that name somebody, by the last part of their path: there Jane is jane.
IDENTITIES: Final = frozenset(
    {
        "user",
        "username",
        "user_name",
        "user_id",
        "user_email",
        "email",
        "login",
        "account",
        "target",
        "target_user",
        "owner",
        "key_owner",
        "caller",
        "actor",
        "recipient",
        "assignee",
        "member",
        "on_behalf_of",
    }
)
_TEXT_REMEMBERED_MAX: Final = 256
_MASKED_MAX: Final = 200  # characters shown of what was masked
_DIGEST_BYTES: Final = 4  # tells groups apart; too short to find the secret by

ValueRead = Callable[[Fields, Derived], Sequence[Value]]
PlainRead = tuple[Read, Read | None, Read | None]
"""What reads the one or two values of a group, and the one that is counted if any, as they are."""


def plain_read(
    ruleset: RuleSet, rule: int, group: Sequence[str], values: Sequence[str]
) -> PlainRead | None:
    """Return what reads a small group and at most one value; None if no plain look does."""
    reads = [ruleset.plain_read(rule, name) for name in (*group, *values)]
    if None in reads or len(values) > 1:
        return None
    value = reads.pop() if values else None
    match reads:
        case [first] if first:
            return first, None, value
        case [first, second] if first:
            return first, second, value
    return None


_AMOUNT_MAX: Final = float(AMOUNT_MAX)

Carry = Callable[[str], str]


def carry_exact(text: str) -> str:
    """Return a text as signals and states carry it: bounded, and without secrets.

    Different texts stay different: what was masked bears a short digest.
    """
    known = _exact.get(text)
    return _remember(_exact, text, _carried(text)) if known is None else known


def carry_identity(text: str) -> str:
    """Return a name as `carry_exact` does, one for all the ways in which it can be written."""
    known = _folded.get(text)
    return _remember(_folded, text, _carried(_fold(text))) if known is None else known


def carry_of(*names: str) -> Carry:
    """Return how the values of a field are carried; `names` are the field's and its alias."""
    is_identity = any(name.rpartition(".")[2].casefold() in IDENTITIES for name in names)
    return carry_identity if is_identity else carry_exact


def carrying(get: Getter, carry: Carry) -> Getter:
    """Return what reads the same, as signals carry it."""

    def read(fields: Fields, derived: Derived) -> list[str]:
        return [carry(text) for text in get(fields, derived)]

    return read


_exact: Final[dict[str, str]] = {}
_folded: Final[dict[str, str]] = {}


def _remember(known: dict[str, str], text: str, carried: str) -> str:
    if len(text) <= _TEXT_REMEMBERED_MAX:
        if len(known) >= CARRIED_MAX:
            known.clear()
        known[text] = carried
    return carried


def _carried(text: str) -> str:
    masked = mask_text(text)
    if masked != text:
        digest = blake2b(text.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()
        masked = f"{bound_text(masked)[:_MASKED_MAX]}~{digest}"
    return bound_text(masked)


def _fold(text: str) -> str:
    """Fold case, widths and what can't be seen; a name of nothing else stays as it is."""
    if text.isascii():
        return text.strip().lower() or text
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    return "".join([char for char in folded if category(char) != "Cf"]).strip() or text


def nothing_read(_fields: Fields, _derived: Derived) -> Sequence[Value]:
    """Read the one value of what is only counted."""
    return (None,)


def read_values(
    plan: CorrelationPlan, getters: Sequence[Getter], carry: Sequence[Carry]
) -> ValueRead:
    """Return what reads the values that a correlation counts or adds up."""
    if not getters:
        return nothing_read
    if plan.type != "value_count":
        return _read_numbers(getters[0])
    return read_texts(list(map(carrying, getters, carry)))


def read_texts(getters: Sequence[Getter]) -> ValueRead:
    """Return what reads texts, carried as `getters` do; those of several fields as tuples."""

    def read(fields: Fields, derived: Derived) -> Sequence[Value]:
        columns = [
            list(dict.fromkeys(text for text in get(fields, derived) if text)) for get in getters
        ]
        if len(columns) == 1:
            return columns[0][:VALUES_MAX]
        return [list(texts) for texts in islice(product(*columns), VALUES_MAX)]

    return read


def _read_numbers(get: Getter) -> ValueRead:
    def read(fields: Fields, derived: Derived) -> Sequence[Value]:
        numbers = [number for text in get(fields, derived) if (number := _number(text)) is not None]
        return numbers[:VALUES_MAX]

    return read


def _number(text: str) -> float | None:
    millionths = scaled(text)
    return None if millionths is None else max(-_AMOUNT_MAX, min(float(text), _AMOUNT_MAX))


def read_countries(
    countries: ValueRead,
    networks: Getter,
    parameters: Mapping[str, Any],
) -> ValueRead:
    """Return what reads a country, but not of networks and countries that are to be left out."""
    ignored = frozenset(parameters["ignore_countries"])
    vpns = frozenset(map(str, parameters["vpn_asns"]))

    def read(fields: Fields, derived: Derived) -> Sequence[Value]:
        if vpns and not vpns.isdisjoint(networks(fields, derived)):
            return ()
        return [country for country in countries(fields, derived) if country not in ignored]

    return read


def groups_of(
    getters: Sequence[Callable[..., Sequence[str]]], fields: Fields, derived: Derived
) -> Sequence[tuple[str, ...]]:
    """Return the groups of an event: none if a value is missing, several if one is a list."""
    found: list[tuple[str, ...]] = []
    is_single = True
    for get in getters:
        texts = get(fields, derived)
        if not texts or (len(texts) == 1 and not texts[0]):
            return ()
        if len(texts) > 1:
            is_single = False
        found.append(tuple(texts))
    if is_single:
        return (tuple([texts[0] for texts in found]),)
    distinct = [tuple(dict.fromkeys(text for text in texts if text)) for texts in found]
    return list(islice(product(*distinct), GROUPS_MAX))
