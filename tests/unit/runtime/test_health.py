import pytest

from runtime.health import Readiness


def test_a_service_is_ready_once_every_condition_is_met() -> None:
    readiness = Readiness(["kafka", "store"])
    assert not readiness.is_ready
    readiness.meet("kafka")
    readiness.miss("store", "no answer", "start ClickHouse")
    assert [(c.name, c.missing, c.cure) for c in readiness.unmet] == [
        ("store", "no answer", "start ClickHouse")
    ]
    readiness.meet("store")
    assert readiness.unmet == ()


def test_a_condition_that_was_met_can_be_missed_again() -> None:
    readiness = Readiness(["kafka"])
    readiness.meet("kafka")
    readiness.miss("kafka", "gone")
    assert not readiness.is_ready


def test_a_condition_that_was_not_named_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Readiness(["kafka"]).meet("kafak")
