"""The first login of a new install: told, and found by no rule."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.rules_shared import load
from detections.rulebook import START, build
from detections.sigma.detector import SigmaDetector
from tests.integration.api.people import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    made = await house(tmp_path)
    yield made
    await made.close()


async def test_the_first_login_alerts_nobody_and_is_told_as_the_service_s_own(
    home: House,
) -> None:
    """It was: owner gave owner the role administrator, analyst, auditor, viewer."""
    made = await home.program().post("/v1/people/login-links", json={})
    await home.browser().post(made.json()["link"])
    (first,) = home.told("audit.account.created")
    assert (first["user"], first["role"]) == ("audit-console", "service")
    assert first["details"] == {"target_user": "owner", "all_roles": True, "first_start": True}
    given = build(first, {}, START)
    found = SigmaDetector(load(()).ruleset).detect(given.fields, given.derived)
    assert list(found) == []
