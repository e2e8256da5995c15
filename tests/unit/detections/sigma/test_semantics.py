"""Each decision on what Sigma means here, as docs/semantics.md lists them."""

import base64
from typing import Any

from tests.sigma_rules import matches, native_matches, refusal, rule_text


def test_equality_ignores_case_in_all_of_unicode() -> None:
    assert matches("name: STRASSE", {"name": "strasse"})
    assert matches("name: ÄRGER", {"name": "ärger"})
    assert matches("name: ΟΔΟΣ", {"name": "οδος"})
    assert matches("name|contains: ΔΟΣ", {"name": "οδοσα"})
    assert not matches("name: strasse", {"name": "straße"})


def test_equality_is_of_the_whole_value() -> None:
    assert not matches("name: jane", {"name": "jane doe"})
    assert not matches("name: jane", {"name": " jane"})


def test_cased_compares_exactly() -> None:
    assert matches("name|cased: Jane", {"name": "Jane"})
    assert not matches("name|cased: Jane", {"name": "jane"})
    assert matches("name|contains|cased: aN", {"name": "JaNe"})
    assert not matches("name|contains|cased: an", {"name": "JaNe"})
    assert matches("name|cased|startswith: Ja", {"name": "Jane"})


def test_regex_is_case_sensitive_and_unanchored() -> None:
    assert matches("name|re: a[m-o]e", {"name": "jane doe"})
    assert not matches("name|re: JANE", {"name": "jane"})
    assert matches("name|re|i: JANE", {"name": "jane"})
    assert matches("name|re: (?i)JANE", {"name": "jane"})
    assert not matches("name|re: ^ane", {"name": "jane"})
    assert matches("name|re: (?i)kxs", {"name": "\u212aX\u017f"})  # as RE2 folds, Kelvin and long s


def test_regex_flags_m_and_s_are_those_of_re2() -> None:
    assert matches("name|re|m: ^doe$", {"name": "jane\ndoe"})
    assert not matches("name|re: ^doe$", {"name": "jane\ndoe"})
    assert matches("name|re|s: jane.doe", {"name": "jane\ndoe"})
    assert not matches("name|re: jane.doe", {"name": "jane\ndoe"})


def test_star_is_any_length_even_none_and_across_lines() -> None:
    assert matches("name: ja*ne", {"name": "jane"})
    assert matches("name: ja*ne", {"name": "ja\n\nne"})
    assert matches("name: '*a*b*c'", {"name": "xxaxxbxxc"})
    assert not matches("name: '*a*b*c'", {"name": "xxbxxaxxc"})


def test_parts_of_a_wildcard_never_overlap() -> None:
    assert not matches("name: ab*ba", {"name": "aba"})
    assert matches("name: ab*ba", {"name": "abba"})
    assert not matches("name: a*aa*a", {"name": "aaa"})


def test_question_mark_is_exactly_one_character() -> None:
    assert matches("name: j?ne", {"name": "jane"})
    assert matches("name: j?ne", {"name": "j\nne"})
    assert not matches("name: j?ne", {"name": "jne"})
    assert not matches("name: j?ne", {"name": "jaane"})
    assert matches("name|contains: a?c", {"name": "xxabcxx"})


def test_escaped_wildcards_are_plain_characters() -> None:
    assert matches(r"name: 'a\*b'", {"name": "a*b"})
    assert not matches(r"name: 'a\*b'", {"name": "axb"})
    assert matches(r"name: 'a\?b'", {"name": "a?b"})
    assert matches(r"name: 'C:\\temp'", {"name": r"C:\temp"})
    assert matches(r"name: 'C:\temp\\*'", {"name": r"C:\temp\x.exe"})


def test_lone_star_is_present_and_not_empty() -> None:
    assert matches("name: '*'", {"name": "x"})
    assert matches("name: '*'", {"name": 0})
    assert not matches("name: '*'", {"name": ""})
    assert not matches("name: '*'", {"name": None})
    assert not matches("name: '*'", {})


def test_empty_text_is_present_and_empty() -> None:
    assert matches("name: ''", {"name": ""})
    assert not matches("name: ''", {"name": None})
    assert not matches("name: ''", {})
    assert not matches("name: ''", {"name": " "})


def test_null_is_missing_or_null_and_never_the_text_null() -> None:
    assert matches("name: null", {})
    assert matches("name: null", {"name": None})
    assert matches("name: null", {"name": []})
    assert not matches("name: null", {"name": ""})
    assert not matches("name: null", {"name": "null"})
    assert not matches("name: 'null'", {"name": None})


def test_null_in_a_list_of_values_is_one_of_them() -> None:
    assert matches("name: [null, x]", {})
    assert matches("name: [null, x]", {"name": "x"})
    assert not matches("name: [null, x]", {"name": "y"})


def test_exists_is_present_and_not_null() -> None:
    assert matches("name|exists: true", {"name": ""})
    assert not matches("name|exists: true", {"name": None})
    assert not matches("name|exists: true", {})
    assert matches("name|exists: false", {})
    assert not matches("name|exists: false", {"name": 0})


def test_numbers_compare_by_their_text_both_ways() -> None:
    assert matches("code: 4104", {"code": "4104"})
    assert matches("code: '4104'", {"code": 4104})
    assert matches("code: 4104", {"code": 4104.0})
    assert matches("code: 1.5", {"code": 1.5})
    assert matches("code|startswith: '41'", {"code": 4104})
    assert not matches("code: 4104", {"code": "04104"})


def test_booleans_compare_by_their_text_both_ways() -> None:
    assert matches("flag: true", {"flag": "True"})
    assert matches("flag: 'TRUE'", {"flag": True})
    assert matches("flag: false", {"flag": False})
    assert not matches("flag: true", {"flag": 1})
    assert not matches("flag: 1", {"flag": True})


def test_comparison_needs_a_number_or_its_text() -> None:
    assert matches("count|gt: 100", {"count": 101})
    assert matches("count|gte: 100", {"count": "100"})
    assert matches("count|lt: 0.5", {"count": 0.4})
    assert matches("count|lte: -1", {"count": "-1.0"})
    odd: list[Any] = ["many", "", None, True, {}, "0x65", "1_000", "nan", "inf", "9" * 41]
    for value in odd:
        assert not matches("count|gt: -1", {"count": value}), value


def test_range_on_a_field_is_two_comparisons() -> None:
    detection = "count|gt: 100\ncount|lte: 200"
    assert matches(detection, {"count": 200})
    assert not matches(detection, {"count": 100})
    assert not matches(detection, {"count": 201})


def test_literal_dotted_key_goes_before_the_path() -> None:
    assert matches("a.b: x", {"a": {"b": "x"}})
    assert matches("a.b: x", {"a.b": "x"})
    assert matches("a.b: x", {"a.b": "x", "a": {"b": "y"}})
    assert not matches("a.b: x", {"a.b": "y", "a": {"b": "x"}})
    assert matches("a.b.c: x", {"a": {"b.c": "x"}})


def test_field_names_are_case_sensitive() -> None:
    assert not matches("Name: x", {"name": "x"})


def test_list_anywhere_on_the_way_means_any_member() -> None:
    assert matches("a: x", {"a": ["y", "X"]})
    assert matches("a: x", {"a": [["y"], [["x"]]]})
    assert matches("a.b: x", {"a": [{"b": "y"}, {"b": "x"}]})
    assert matches("a.b.c: x", {"a": [{"b": [{"c": "y"}, {"c": ["x"]}]}]})
    assert not matches("a.b: x", {"a": [{"c": "x"}, "x", 1, None]})


def test_members_of_one_list_may_answer_different_items() -> None:
    detection = "a.name: x\na.kind: y"
    assert matches(detection, {"a": [{"name": "x", "kind": "z"}, {"name": "w", "kind": "y"}]})


def test_all_over_a_list_needs_every_value_not_every_member() -> None:
    detection = "a|contains|all: [x, y]"
    assert matches(detection, {"a": ["ax", "ay"]})
    assert matches(detection, {"a": "xy"})
    assert not matches(detection, {"a": ["ax", "az"]})


def test_object_as_a_value_is_its_compact_json() -> None:
    event = {"a": {"b": {"c": 1, "d": "Ü"}}}
    assert matches("""a|contains: '"c":1'""", event)
    assert matches("""a.b: '{"c":1,"d":"ü"}'""", event)
    assert matches("a: '*'", event)
    assert matches("a|exists: true", event)


def test_missing_field_makes_the_item_false_and_its_not_true() -> None:
    detection = "a:\n  x: 1\nfilter:\n  y: 2\ncondition: a and not filter"
    assert matches(detection, {"x": 1})
    assert matches(detection, {"x": 1, "y": 3})
    assert not matches(detection, {"x": 1, "y": 2})
    assert not matches("y|contains: a", {})


def test_neq_is_true_for_a_missing_field_as_not_is() -> None:
    assert matches("x: 1\ny|neq: 2", {"x": 1})
    assert not matches("x: 1\ny|neq: 2", {"x": 1, "y": "2"})
    assert not matches("x: 1\ny|neq: [2, 3]", {"x": 1, "y": 3})


def test_keyword_is_inside_any_text_value_at_any_depth() -> None:
    detection = "keywords: [evil]\ncondition: keywords"
    assert matches(detection, {"a": {"b": ["x", {"c": "So EVIL."}]}})
    assert matches("keywords: ['a\"b']\ncondition: keywords", {"x": 'xa"bx'})
    assert matches("keywords: ['é\\n']\ncondition: keywords", {"x": "xÉ\\nx"})


def test_keyword_is_not_looked_for_in_keys_or_numbers() -> None:
    assert not matches("keywords: [evil]\ncondition: keywords", {"evil": "x"})
    assert not matches("keywords: [42]\ncondition: keywords", {"a": 42})
    assert matches("keywords: [42]\ncondition: keywords", {"a": "is 42."})


def test_keywords_with_all_may_lie_in_different_values() -> None:
    detection = "keywords:\n  '|all': [one, two]\ncondition: keywords"
    assert matches(detection, {"a": "one", "b": ["two"]})
    assert not matches(detection, {"a": "one"})


def test_keyword_with_wildcard_or_regex_is_searched_in_each_value() -> None:
    assert matches("keywords: ['a*c']\ncondition: keywords", {"x": "..abc.."})
    assert not matches("keywords: ['a*c']\ncondition: keywords", {"x": "a", "y": "c"})
    assert matches("keywords:\n  '|re': 'a.c'\ncondition: keywords", {"x": ["abc"]})


def test_list_of_maps_is_an_or_of_ands() -> None:
    detection = "s:\n  - {a: 1, b: 2}\n  - {c: 3}\ncondition: s"
    assert matches(detection, {"c": 3})
    assert matches(detection, {"a": 1, "b": 2})
    assert not matches(detection, {"a": 1})


def test_list_of_conditions_is_an_or() -> None:
    detection = "one: {a: 1}\ntwo: {b: 2}\ncondition:\n  - one\n  - two"
    assert matches(detection, {"a": 1})
    assert matches(detection, {"b": 2})
    assert not matches(detection, {})


def test_not_binds_before_and_before_or() -> None:
    detection = "a: {x: 1}\nb: {y: 1}\nc: {z: 1}\ncondition: a or b and not c"
    assert matches(detection, {"x": 1, "z": 1})
    assert matches(detection, {"y": 1})
    assert not matches(detection, {"y": 1, "z": 1})
    grouped = "a: {x: 1}\nb: {y: 1}\nc: {z: 1}\ncondition: (a or b) and not (c or not a)"
    assert matches(grouped, {"x": 1})
    assert not matches(grouped, {"y": 1})


def test_one_all_and_any_of_patterns_and_them() -> None:
    names = "s_a: {a: 1}\ns_b: {b: 1}\nother: {c: 1}\n"
    assert matches(f"{names}condition: 1 of s_*", {"b": 1})
    assert matches(f"{names}condition: any of them", {"c": 1})
    assert matches(f"{names}condition: all of s_*", {"a": 1, "b": 1})
    assert not matches(f"{names}condition: all of s_*", {"a": 1})
    assert not matches(f"{names}condition: all of them", {"a": 1, "b": 1})
    assert matches(f"{names}condition: s_a and not all of s_*", {"a": 1})


def test_so_many_of_counts_selections() -> None:
    names = "s_a: {a: 1}\ns_b: {b: 1}\ns_c: {c: 1}\n"
    assert matches(f"{names}condition: 2 of s_*", {"a": 1, "c": 1})
    assert not matches(f"{names}condition: 2 of s_*", {"c": 1})
    assert matches(f"{names}condition: 3 of them", {"a": 1, "b": 1, "c": 1})


def test_cidr_takes_addresses_of_its_version_only() -> None:
    assert matches("ip|cidr: 10.0.0.0/8", {"ip": "10.1.2.3"})
    assert matches("ip|cidr: 10.0.0.0/8", {"ip": "::ffff:10.1.2.3"})
    assert matches("ip|cidr: 2001:db8::/32", {"ip": "2001:DB8::1"})
    assert matches("ip|cidr: [10.0.0.0/8, 2001:db8::/32]", {"ip": ["x", "2001:db8::2"]})
    for value in ("11.0.0.1", "2001:db8::1", "10.0.0.0/8", "10.1", "", None, 10, "1" * 99):
        assert not matches("ip|cidr: 10.0.0.0/8", {"ip": value}), value


def test_fieldref_compares_two_fields_without_case() -> None:
    assert matches("a|fieldref: b", {"a": "X", "b": "x"})
    assert matches("a|fieldref: b", {"a": 1, "b": ["2", "1"]})
    assert not matches("a|fieldref: b", {"a": "x", "b": "y"})
    assert not matches("a|fieldref: b", {"a": "x"})
    assert not matches("a|fieldref: b", {})
    assert matches("a|fieldref|startswith: b", {"a": "abc", "b": "AB"})
    assert matches("a|fieldref|endswith: b", {"a": "abc", "b": "bc"})
    assert matches("a|fieldref|contains: b", {"a": "abcd", "b": "bc"})


def test_timestamp_parts_are_read_in_utc() -> None:
    event = {"at": "2025-12-29T23:30:15+02:00"}
    for part, value in (
        ("minute", 30), ("hour", 21), ("day", 29), ("week", 1), ("month", 12), ("year", 2025)
    ):  # fmt: skip
        assert matches(f"at|{part}: {value}", event), part
        assert not matches(f"at|{part}: {value + 1}", event), part
    assert matches("at|hour|gte: 21", event)
    assert not matches("at|hour|gt: 21", event)
    odd: list[Any] = ["yesterday", "", None, 1_760_000_000, [], "2025-13-01", "x" * 99]
    for no_time in odd:
        assert not matches("at|hour|gte: 0", {"at": no_time}), no_time


def test_windash_takes_every_dash_and_slash() -> None:
    for dash in "-/\u2013\u2014\u2015":
        line = f"cmd {dash}enc x"
        assert matches("line|contains|windash: ' -enc '", {"line": line}), line
    assert matches("line|windash|contains|all: [' -a', ' -b']", {"line": "x /b -a"})
    assert not matches("line|windash|contains|all: [' -a', ' -b']", {"line": "x /b"})


def test_base64_of_text_and_wide_text_is_found() -> None:
    assert matches("line|base64: foobar", {"line": "Zm9vYmFy"})
    for prefix in (b"", b"x", b"xx"):
        line = base64.b64encode(prefix + b"foobar" + b"yyy").decode()
        assert matches("line|base64offset|contains: foobar", {"line": line})
        wide = base64.b64encode(prefix + "foobar".encode("utf-16-le") + b"yyy").decode()
        assert matches("line|wide|base64offset|contains: foobar", {"line": wide})
        big = base64.b64encode(prefix + "foobar".encode("utf-16-be") + b"yyy").decode()
        assert matches("line|utf16be|base64offset|contains: foobar", {"line": big})
    marked = base64.b64encode("foobar".encode("utf-16")).decode()
    assert matches("line|utf16|base64offset|contains: foobar", {"line": marked})


def test_placeholder_stands_for_each_of_its_values() -> None:
    detection = "user|expand: 'x-%admins%'"
    assert matches(detection, {"user": "x-root"}, {"admins": ["jane", "Root"]})
    assert not matches(detection, {"user": "x-joe"}, {"admins": ["jane", "Root"]})
    assert matches("n|re|expand: '^%limit%$'", {"n": "a.b"}, {"limit": ["a.b"]})
    assert not matches("n|re|expand: '^%limit%$'", {"n": "axb"}, {"limit": ["a.b"]})
    assert matches("n|expand: '%limit%'", {"n": 1000}, {"limit": [1000]})


def test_placeholder_of_a_comparison_is_a_number() -> None:
    detection = "rows|expand|gte: '%rows_min%'"
    assert matches(detection, {"rows": 1_000}, {"rows_min": [1_000]})
    assert not matches(detection, {"rows": 999}, {"rows_min": [1_000]})
    assert matches("at|hour|gte|expand: '%end%'", {"at": "2026-01-01T20:00:00"}, {"end": [20]})
    for given, reason in (({}, "no values"), ({"rows_min": ["many"]}, "must be a number")):
        assert reason in refusal(rule_text(detection), placeholders=given).reason


def test_percent_signs_without_expand_are_plain() -> None:
    assert matches("path: '%TEMP%'", {"path": "%temp%"})


def test_derived_names_go_before_the_events_own_fields() -> None:
    assert native_matches("result: denied", {"result": "success"}, result="denied")
    assert native_matches("role: admin", {}, role="Admin")
    assert native_matches("country: DE", {"country": "FR"}, country="DE")
    assert native_matches("off_hours: true", {}, is_off_hours=True)
    assert not native_matches("off_hours: true", {"off_hours": True})
    assert native_matches("protected: true", {}, is_protected=True)
    assert native_matches("flags: inactive_user", {}, flags=("inactive_user",))
    assert native_matches("asn|gte: 64512", {}, asn=64_600)


def test_derived_text_that_is_not_known_is_null() -> None:
    assert native_matches("country: null\nuser: jane", {})
    assert not native_matches("country: ''", {})
    assert native_matches("asn: null", {})
    assert not native_matches("role|exists: true", {})
    assert native_matches("off_hours: false", {})


def test_native_events_are_reached_by_path_as_well() -> None:
    assert native_matches("details.before.role: admin", {"details": {"before": {"role": "Admin"}}})
    assert native_matches("action: A.B.C\nuser|startswith: ja", {})
