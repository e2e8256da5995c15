"""Passwords: what is one, and that verifying tells nothing but right or wrong."""

import asyncio

import pytest
from argon2 import PasswordHasher

from console.people.passwords import (
    HASHER,
    THREADS,
    WAITING_MAX,
    Passwords,
    normal,
    require_good,
)
from console.web.problems import Refused

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


async def test_only_the_password_is_right() -> None:
    passwords = Passwords(CHEAP)
    kept = await passwords.hash("correct horse battery")
    assert kept.startswith("$argon2id$")
    assert await passwords.verify(kept, "correct horse battery")
    assert not await passwords.verify(kept, "correct horse batter")
    assert not await passwords.verify(kept, "")
    assert not await passwords.verify(None, "correct horse battery")
    assert not await passwords.verify("no hash", "correct horse battery")
    passwords.close()


async def test_where_there_is_no_password_another_one_is_verified() -> None:
    asked: list[str] = []

    class Spy(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002
            asked.append(str(hash))
            return super().verify(hash, password)

    passwords = Passwords(Spy(time_cost=1, memory_cost=8, parallelism=1))
    assert not await passwords.verify(None, "x" * 20)
    assert len(asked) == 1
    passwords.close()


async def test_more_than_can_be_are_refused_at_once() -> None:
    passwords = Passwords(CHEAP)
    wanted = [passwords.hash("x" * 20) for _ in range(THREADS + WAITING_MAX + 5)]
    done = await asyncio.gather(*wanted, return_exceptions=True)
    refused = [one for one in done if isinstance(one, Refused)]
    assert len(refused) == 5
    assert {one.kind for one in refused} == {"busy"}
    assert await passwords.hash("y" * 20)
    passwords.close()


async def test_a_hash_made_with_less_is_outdated() -> None:
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert passwords.is_outdated(CHEAP.hash("x" * 20))
    assert not passwords.is_outdated(await passwords.hash("x" * 20))
    passwords.close()


def test_what_is_kept_is_argon2id_with_what_the_standard_asks_for() -> None:
    assert (HASHER.type.name, HASHER.time_cost, HASHER.memory_cost) == ("ID", 3, 65_536)


def test_a_password_is_the_same_however_it_is_typed() -> None:
    assert normal("Gr\u00f6\u00dfe") == normal("Gro\u0308\u00dfe")
    assert normal("\ud800") == "?"
    assert len(normal("\ufdfa" * 10_000)) <= 1_024  # each becomes 18


@pytest.mark.parametrize(
    ("password", "is_good"),
    [
        pytest.param("x7-Kd93_ms2Q", True, id="twelve"),
        pytest.param("x7-Kd93_ms2", False, id="eleven"),
        pytest.param("abcde" * 51 + "f", True, id="256"),
        pytest.param("abcde" * 51 + "fg", False, id="257"),
        pytest.param("aaaaaaaaaaaaaaa", False, id="one letter"),
        pytest.param("my-JANE.doe-pw1", False, id="the name"),
        pytest.param("пароль из слов", True, id="any script"),
    ],
)
def test_what_is_a_password(password: str, *, is_good: bool) -> None:
    if is_good:
        require_good(password, "jane.doe")
        return
    with pytest.raises(Refused) as caught:
        require_good(password, "jane.doe")
    assert password not in str(caught.value)
