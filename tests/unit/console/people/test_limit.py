"""How often a login may be tried."""

from console.people.limit import BY_NAME, KNOWN_MAX, LoginLimit, Pace, Tries, network


def test_waits_double_up_to_a_bound_and_are_forgotten() -> None:
    tries = Tries(Pace(free=2, wait_s=1.0, wait_s_max=5.0))
    waits = []
    now = 0.0
    for _ in range(7):
        now += tries.wait_s("k", now)
        tries.tried("k", now)
        waits.append(tries.wait_s("k", now))
    assert waits == [0, 1, 2, 4, 5, 5, 5]
    assert tries.wait_s("k", now + 4_000) == 0
    tries.tried("k", now + 4_000)
    assert tries.wait_s("k", now + 4_000) == 0


def test_many_at_once_gain_nothing() -> None:
    limit = LoginLimit()
    allowed = [limit.wait_s("jane", f"198.51.100.{n}", 0.0) <= 0 for n in range(100)]
    assert sum(allowed) == BY_NAME.free


def test_one_address_can_not_try_all_names() -> None:
    limit = LoginLimit()
    allowed = [limit.wait_s(f"user{n}", "198.51.100.7", 0.0) <= 0 for n in range(100)]
    assert sum(allowed) == 20
    assert limit.wait_s("jane", "198.51.100.8", 0.0) == 0


def test_logging_in_between_gives_an_address_no_more_guesses() -> None:
    limit = LoginLimit()
    guesses = 0
    for n in range(100):
        guesses += limit.wait_s(f"user{n}", "198.51.100.7", 0.0) <= 0
        if limit.wait_s("mallory", "198.51.100.7", 0.0) <= 0:
            limit.succeeded("mallory", "198.51.100.7", 0.0)
    assert guesses <= 20


def test_who_logs_in_right_may_mistype_again() -> None:
    limit = LoginLimit()
    for _ in range(50):
        assert limit.wait_s("jane", "198.51.100.7", 0.0) == 0
        limit.succeeded("jane", "198.51.100.7", 0.0)


def test_the_table_is_bounded() -> None:
    tries = Tries(BY_NAME)
    for n in range(KNOWN_MAX + 500):
        tries.tried(str(n), 0.0)
    assert len(tries) == KNOWN_MAX


def test_a_household_is_one() -> None:
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert network("::ffff:198.51.100.7") == network("198.51.100.7")
    assert network("") == ""
