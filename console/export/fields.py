"""The members of an exported event, and the SQL that writes each: as JSON, as a CSV cell, typed.

What is written is what `/v1/events` answers (console/search/rendering.py), made by the store: a row
never becomes a Python object. A test holds the two to each other.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from schemas.spreadsheet import FORMULA

# Between two of these stands an event's raw message whose details no SQL could cut out for sure;
# {mark:String} is unguessable, so no event can hold it.
MARK: Final = "{mark:String}"


class Field(NamedTuple):
    """One member: its JSON text, its cell of a CSV, and its value for Parquet."""

    json: str
    cell: str
    typed: str


def defused(text: str) -> str:
    """Return the SQL of a text that no spreadsheet takes for a formula (schemas/spreadsheet.py)."""
    return f"if(match({text}, '{FORMULA}'), concat('\\'', {text}), toString({text}))"


def quoted(text: str) -> str:
    """Return the SQL of a text as a cell of a CSV (RFC 4180)."""
    return f"concat('\"', replaceAll({text}, '\"', '\"\"'), '\"')"


def _text(column: str) -> Field:
    cell = (
        f"if(match({column}, '[^A-Za-z0-9 ._:/@-]|^ *[-@]'), {quoted(defused(column))}, {column})"
    )
    return Field(f"toJSONString({column})", cell, f"toString({column})")


def _optional(column: str) -> Field:
    plain = _text(column)
    return Field(
        f"if({column} = '', 'null', toJSONString({column}))",
        plain.cell,
        f"nullIf(toString({column}), '')",
    )


def _moment(column: str, zero: str) -> Field:
    text = f"replaceOne(replaceOne(toString({column}), ' ', 'T'), '{zero}', '')"
    return Field(f"concat('\"', {text}, 'Z\"')", f"concat({text}, 'Z')", column)


def _number(column: str) -> Field:
    return Field(f"toString({column})", f"toString({column})", column)


def _list(column: str) -> Field:
    joined = f"arrayStringConcat({column}, ';')"
    return Field(f"toJSONString({column})", quoted(defused(joined)), column)


_NUMERIC: Final = "IPv6NumToString(ip_address)"
_SHOWN: Final = (
    f"if(startsWith({_NUMERIC}, '::ffff:') AND position({_NUMERIC}, '.') > 0, "
    f"substring({_NUMERIC}, 8), {_NUMERIC})"
)
_NOWHERE: Final = "ip_address = toIPv6('::')"
_ADDRESS: Final = Field(
    f"if({_NOWHERE}, 'null', concat('\"', {_SHOWN}, '\"'))",
    f"if({_NOWHERE}, '', {_SHOWN})",
    f"if({_NOWHERE}, NULL, {_SHOWN})",
)
_NO_DATE: Final = "retain_until = toDate32('1970-01-01')"
_RETAINED: Final = Field(
    f"if({_NO_DATE}, 'null', concat('\"', toString(retain_until), '\"'))",
    f"if({_NO_DATE}, '', toString(retain_until))",
    f"if({_NO_DATE}, NULL, retain_until)",
)
_ASN: Final = Field(
    "if(geo_asn = 0, 'null', toString(geo_asn))",
    "if(geo_asn = 0, '', toString(geo_asn))",
    "nullIf(geo_asn, 0)",
)
_COUNTRY: Final = _optional("geo_country")
_AS_NAME: Final = _optional("geo_as_name")
_GEO: Final = (
    f"concat('{{\"country\":', {_COUNTRY.json}, ',\"asn\":', {_ASN.json}, "
    f"',\"as_name\":', {_AS_NAME.json}, '}}')"
)
# Line breaks between the tokens of a value taken over verbatim would break the line.
_FLAT_CHANGES: Final = (
    "translate(arrayStringConcat(arrayMap((p, b, a) -> concat('{\"path\":', toJSONString(p), "
    "',\"before\":', if(b = '', 'null', b), ',\"after\":', if(a = '', 'null', a), '}'), "
    "changed, before, after), ','), '\\n\\r', '  ')"
)
_CHANGES: Final = f"if(empty(changed), '[]', concat('[', {_FLAT_CHANGES}, ']'))"

# The details are cut out of the raw message byte for byte, since a parser would change numbers of
# any size. JSON has no key twice and no bare quote in a text, so where the name stands once, not
# spelt with escapes, and the message has such a member, it stands there. Its value is either what
# is left but for the last brace, if that is JSON by itself, or the very text that the parser would
# write, if the message goes on with it. What neither shows is cut out by us (`MARK`).
_PLACE: Final = "position(raw, '\"details\":')"
_REST: Final = f"substring(raw, {_PLACE} + 10)"
_LAST: Final = f"substring(raw, {_PLACE} + 10, length(raw) - {_PLACE} - 10)"
_IS_PLAIN: Final = (
    "countSubstrings(raw, '\"details\"') = 1 AND position(raw, '\\\\u00') = 0 "
    "AND endsWith(raw, '}') AND JSONHas(raw, 'details')"
)
_PARSED: Final = "JSONExtractRaw(raw, 'details')"
_CUT: Final = (
    f"multiIf(details_masked != '', details_masked, "
    f"position(raw, 'details') = 0 AND position(raw, '\\\\u00') = 0, '{{}}', "
    f"NOT ({_IS_PLAIN}) OR {_PLACE} = 0, concat({MARK}, raw, {MARK}), "
    f"startsWith({_LAST}, '{{') AND isValidJSON({_LAST}), {_LAST}, "
    f"startsWith({_REST}, '{{') AND startsWith({_REST}, {_PARSED}), {_PARSED}, "
    f"concat({MARK}, raw, {MARK}))"
)
_DETAILS: Final = f"translate({_CUT}, '\\n\\r', '  ')"
_MARKED: Final = f"startsWith({_DETAILS}, {MARK})"

FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "event_id": _text("event_id"),
        "timestamp": _moment("occurred", ".000000"),
        "tenant": _text("tenant"),
        "user": _text("user"),
        "role": _optional("role"),
        "on_behalf_of": _optional("on_behalf_of"),
        "action": _text("action"),
        "result": _text("result"),
        "resource": _optional("resource"),
        "resource_id": _optional("resource_id"),
        "ip_address": _ADDRESS,
        "user_agent": _optional("user_agent"),
        "session_id": _optional("session_id"),
        "request_id": _optional("request_id"),
        "source": _optional("source"),
        "reason": _optional("reason"),
        "details": Field(
            _DETAILS,
            f"if({_MARKED}, {_DETAILS}, {quoted(_DETAILS)})",
            _DETAILS,
        ),
        "category": _text("category"),
        "verb": _optional("verb"),
        "changes": Field(_CHANGES, quoted(_CHANGES), _CHANGES),
        "geo": Field(_GEO, "", ""),
        "client": _optional("client"),
        "department": _optional("department"),
        "user_status": _optional("user_status"),
        "data_class": _optional("data_class"),
        "retention_class": _optional("retention_class"),
        "retain_until": _RETAINED,
        "severity": _text("severity"),
        "risk_score": _number("risk_score"),
        "flags": _list("flags"),
        "rules": _list("rules"),
        "recorded": _moment("recorded", ".000"),
        "stored": _moment("stored", ".000"),
        "topic": _text("topic"),
        "partition": _number("partition"),
        "offset": _number("offset"),
    }
)
# A flat format has the members of `geo` as columns of their own.
FLAT_GEO: Final[Mapping[str, Field]] = MappingProxyType(
    {"geo_country": _COUNTRY, "geo_asn": _ASN, "geo_as_name": _AS_NAME}
)
COLUMNS: Final = tuple(FIELDS)
