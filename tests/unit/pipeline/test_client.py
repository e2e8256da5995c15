import pytest

from pipeline.client import FAMILY_MAX, ClientParser

PARSER = ClientParser()
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("user_agent", "client"),
    [
        (CHROME, "Chrome on Windows"),
        ("curl/8.0", "curl"),
        ("python-requests/2.31", "Python Requests"),
        ("dutycall-sdk/1.2 (service=voice)", "dutycall-sdk"),
        ("aws-cli/2.12.1 Python/3.11", "aws-cli"),
        ("Mozilla/5.0", ""),
        ("", ""),
        ("\x00\x1b[2J", ""),
        ("\U0001f600", ""),
        ("x" * 100_000, ""),
    ],
)
def test_clients_are_named(user_agent: str, client: str) -> None:
    assert PARSER.parse(user_agent) == client


@pytest.mark.parametrize(
    "user_agent", ["Mozilla/5.0 (" * 40, "(;" * 5_000, "Mobile Safari " * 500, "a bot/1" * 99]
)
def test_hostile_agents_give_a_bounded_plain_name(user_agent: str) -> None:
    client = PARSER.parse(user_agent)
    assert len(client) <= 2 * FAMILY_MAX + 4
    assert client.isascii()
