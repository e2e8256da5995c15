"""The mark of the console's own events: nobody makes one without the key, nobody moves one."""

from typing import Any

import orjson
import pytest

from producers.message import mask_fields
from schemas import canary
from schemas.console_mark import FORGED, MARK, READ, TENANT, judge, sign
from schemas.event import decode

KEY = b"k" * 43
FIELDS: dict[str, Any] = {
    "timestamp": "2025-10-11T14:23:15.123Z",
    "event_id": "0199d3a1b2c3-1",
    "tenant": TENANT,
    "user": "service-token",
    "role": "service",
    "action": "audit.events.searched",
    "resource": "audit_events",
    "result": "success",
    "ip_address": "203.0.113.42",
    "session_id": "s-1",
    "source": "audit-console",
    "details": {"path": "/search", "query": {"q": "user:jane", "n": 1.5}, "rows": 3},
}
SIGNED = sign(KEY, FIELDS)


def test_an_own_mark_is_a_true_one_in_any_order() -> None:
    assert judge(KEY, SIGNED) == (READ,)
    assert judge(KEY, dict(reversed(SIGNED.items()))) == (READ,)


def test_a_change_made_in_the_console_is_true_but_no_read() -> None:
    assert judge(KEY, sign(KEY, FIELDS | {"action": "audit.case.created"})) == ()


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_any_field_changed_or_taken_away_breaks_the_mark(name: str) -> None:
    other: Any = {**SIGNED["details"], "rows": 4} if name == "details" else f"{SIGNED[name]}x"
    assert judge(KEY, SIGNED | {name: other}) == (FORGED,)
    if name != "action":
        fewer = {key: value for key, value in SIGNED.items() if key != name}
        assert judge(KEY, fewer) == (FORGED,)


@pytest.mark.parametrize(
    "change",
    [
        {"on_behalf_of": "added"},
        {"details": {**SIGNED["details"], "added": None}},
        {"details": {**SIGNED["details"], MARK: "0" * 64}},
        {"details": {**SIGNED["details"], MARK: "ü"}},
        {"details": {**SIGNED["details"], MARK: 7}},
        {"details": {**SIGNED["details"], MARK: None}},
        {"details": None},
        {"event_id": None},
        {"event_id": ""},
    ],
)
def test_anything_added_or_amiss_breaks_the_mark(change: dict[str, Any]) -> None:
    assert judge(KEY, SIGNED | change) == (FORGED,)


def test_without_the_same_key_every_one_is_forged() -> None:
    assert judge(b"other", SIGNED) == (FORGED,)
    assert judge(b"", SIGNED) == (FORGED,)
    assert judge(b"", sign(b"", FIELDS)) == (FORGED,)
    assert sign(b"", FIELDS) == FIELDS


def test_a_canarys_mark_is_never_a_reads_nor_a_reads_a_canarys() -> None:
    details = {**FIELDS["details"], canary.RULE: "grant"}
    bare = FIELDS | {"details": details}
    as_canary, as_own = canary.sign(KEY, bare), sign(KEY, bare)
    its, ours = as_canary["details"][canary.MARK], as_own["details"][MARK]
    assert its != ours
    assert judge(KEY, bare | {"details": {**details, MARK: its}}) == (FORGED,)
    moved = bare | {"details": {**details, canary.MARK: ours}}
    assert canary.judge(KEY, moved) == canary.FORGED


def test_masking_leaves_the_mark_as_it_is() -> None:
    assert mask_fields(SIGNED) is SIGNED


def test_the_pipeline_reads_what_was_signed() -> None:
    from_wire = decode(orjson.dumps(SIGNED))
    assert judge(KEY, from_wire) == (READ,)
