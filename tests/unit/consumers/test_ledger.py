from consumers.sink.ledger import Account, balance


def test_all_stored_balances() -> None:
    accounts = {
        ("inc", "raw", 0): Account(
            next=10, gaps=1, stored=7, replayed=0, replayed_once=0, rejected=2
        )
    }
    found = balance("raw", "inc", {0: 12}, accounts)

    assert (found.received, found.stored, found.quarantined, found.lag, found.difference) == (
        11,
        7,
        2,
        2,
        0,
    )


def test_replayed_row_counts_as_stored_and_no_more_as_quarantined() -> None:
    accounts = {
        ("inc", "raw", 0): Account(
            next=10, gaps=0, stored=8, replayed=1, replayed_once=1, rejected=2
        )
    }
    found = balance("raw", "inc", {0: 10}, accounts)

    assert (found.stored, found.quarantined, found.difference) == (9, 1, 0)


def test_loss_is_positive_and_duplicate_negative() -> None:
    lost = {("inc", "raw", 0): Account(10, 0, 9, 0, 0, 0)}
    doubled = {("inc", "raw", 0): Account(10, 0, 8, 2, 1, 2)}

    assert balance("raw", "inc", {0: 10}, lost).difference == 1
    assert balance("raw", "inc", {0: 10}, doubled).difference == -1


def test_partition_that_no_sink_has_seen_is_all_lag() -> None:
    found = balance("raw", "inc", {0: 5, 1: 0}, {})

    assert [
        (part.partition, part.received, part.lag, part.difference) for part in found.partitions
    ] == [
        (0, 5, 5, 0),
        (1, 0, 0, 0),
    ]


def test_topic_that_ends_below_what_is_stored_shows_as_negative_lag() -> None:
    accounts = {("inc", "raw", 0): Account(10, 0, 10, 0, 0, 0)}

    assert balance("raw", "inc", {0: 4}, accounts).lag == -6


def test_incarnation_that_is_over_is_judged_by_what_was_read_of_it() -> None:
    accounts = {("old", "raw", 0): Account(10, 0, 9, 0, 0, 1)}
    found = balance("raw", "new", {0: 3}, accounts)

    assert [(part.incarnation, part.received, part.lag) for part in found.partitions] == [
        ("new", 3, 3),
        ("old", 10, 0),
    ]
