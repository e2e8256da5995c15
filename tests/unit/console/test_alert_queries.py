"""Queries for alerts reach no further than the token."""

import pytest

from console.alerts.queries import AlertSearch, newest_alert, target_states
from console.web.problems import Refused

ONLY = "tenant = {tenant:String}"


def test_a_follower_starts_at_the_newest_alert_that_it_may_see() -> None:
    query = newest_alert(AlertSearch(), "acme")
    assert ONLY in query.sql
    assert query.parameters["tenant"] == "acme"
    assert newest_alert(AlertSearch(tenant="acme"), None).parameters["tenant"] == "acme"
    assert ONLY not in newest_alert(AlertSearch(), None).sql


def test_a_follower_of_another_tenant_is_refused() -> None:
    with pytest.raises(Refused):
        newest_alert(AlertSearch(tenant="other"), "acme")


def test_targets_of_a_tenant_count_only_its_alerts() -> None:
    query = target_states("acme")
    assert ONLY in query.sql
    assert query.parameters["tenant"] == "acme"
    assert ONLY not in target_states(None).sql
