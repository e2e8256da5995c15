"""What one user did within an hour is one row, and the gravest finding is what it shows."""

from typing import Any

from console.alerts.fold import folded


def alert(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "alert_id": name,
        "title": name,
        "severity": "high",
        "user": "sara",
        "tenant": "acme",
        "status": "open",
        "historical": False,
        "group": "x-audit.events-0-1",
        "recorded": "2025-10-12T10:00:00.000Z",
    } | fields


def names(alerts: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    return [(row.alert["title"], [one["title"] for one in row.more]) for row in folded(alerts)]


def test_an_alert_derived_from_others_stands_under_the_finding_itself() -> None:
    assert names([alert("risk", group="user=sara"), alert("export"), alert("login")]) == [
        ("export", ["risk", "login"])
    ]


def test_a_graver_alert_leads_whatever_it_is_made_of() -> None:
    risk = alert("risk", group="user=sara", severity="critical")
    assert names([risk, alert("export")]) == [("risk", ["export"])]


def test_other_users_hours_and_times_past_are_rows_of_their_own() -> None:
    others = [
        alert("other", user="bob"),
        alert("later", recorded="2025-10-12T11:00:00.001Z"),
        alert("old", historical=True),
        alert("taken", status="acknowledged"),
        alert("of another tenant", tenant="globex"),
        alert("nobody", user=None),
        alert("nobody too", user=None),
    ]
    assert all(not more for _, more in names([alert("first"), *others]))


def test_titles_of_what_is_beneath_are_named_once() -> None:
    (row,) = folded([alert("a"), alert("b"), alert("b"), alert("c"), alert("d"), alert("e")])
    assert row.titles == ["b", "c", "d"]
