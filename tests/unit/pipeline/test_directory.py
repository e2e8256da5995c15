import pytest

from pipeline.directory import BYTES_MAX, EMPTY, NOBODY, Person, parse_directory
from schemas.errors import Misconfigured

YAML = b"Jane@x.com: {role: admin, department: Ops, status: active}\nbob: {department: Sales}\n"
JSON = (
    b'{"Jane@x.com": {"role": "admin", "department": "Ops", "status": "active"},'
    b'"bob": {"department": "Sales"}}'
)
CSV = b"user,role,department,status\r\nJane@x.com,admin,Ops,active\r\nbob,,Sales,\r\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [("d.yml", YAML), ("d.json", JSON), ("d.CSV", CSV), ("d.csv", b"\xef\xbb\xbf" + CSV)],
)
def test_all_three_forms_say_the_same(name: str, content: bytes) -> None:
    directory = parse_directory(name, content)
    assert len(directory) == 2
    assert directory.find("jane@X.com") == Person("admin", "Ops", "active")
    assert directory.find("bob") == Person("", "Sales", "")
    assert directory.find("eve") == NOBODY


def test_the_version_is_of_the_content() -> None:
    assert EMPTY.version == "none"
    assert parse_directory("a.yml", YAML).version == parse_directory("b.yml", YAML).version
    assert parse_directory("a.yml", YAML).version != parse_directory("a.yml", YAML + b" ").version


def test_an_empty_file_is_an_empty_directory() -> None:
    assert len(parse_directory("d.yml", b"")) == 0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("d.yml", b"{", "can't be read"),
        ("d.yml", b"\xff", "can't be read"),
        ("d.yml", b"[]", "no object"),
        ("d.yml", b"a: 1", "entry 1"),
        ("d.yml", b"1: {}", "entry 1"),
        ("d.yml", b"'': {}", "entry 1"),
        ("d.yml", b"a: {role: s3cret}\nb: {role: [s3cret]}", "entry 2: role"),
        ("d.yml", b"a: {role: " + b"x" * 129 + b"}", "entry 1: role"),
        ("d.csv", b"name,role\nbob,x\n", "no column `user`"),
        ("d.csv", b"", "no column `user`"),
        ("d.csv", b"user\n" + b"".join(b"u%d\n" % n for n in range(100_001)), "over 100000 people"),
        ("d.yml", b" " * (BYTES_MAX + 1), "over"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_never_quoted(
    name: str, content: bytes, says: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_directory(name, content)
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)
