"""What was handled is known without the store, and what may have been is asked for."""

from consumers.alerts.memory import Memory

A, B, C = ("a" * 32, "b" * 32, "c" * 32)


def test_before_it_was_filled_only_the_store_can_tell() -> None:
    assert Memory().knows(A, 10) is None


def test_it_knows_all_since_a_moment_and_nothing_of_before() -> None:
    memory = Memory()
    memory.fill([(A, 100)], since_ms=50)
    assert (memory.knows(A, 100), memory.knows(B, 50), memory.knows(C, 49)) == (True, False, None)


def test_when_it_is_full_it_admits_what_it_forgot() -> None:
    memory = Memory(ids_max=2)
    memory.fill([(A, 100), (B, 200)], since_ms=0)
    memory.add(C, 300)
    assert memory.knows(A, 100) is None
    assert memory.knows("d" * 32, 101) is False
    assert memory.knows(B, 200) is True
