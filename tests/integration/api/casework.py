"""How tests of cases make them, add to them and look at them."""

from typing import Any

import httpx

from schemas.case import CaseFound, CaseMade, MembersAdded


async def make(client: httpx.AsyncClient, title: str = "Burglary", **asked: Any) -> str:
    answer = await client.post("/v1/cases", json={"title": title, **asked})
    assert answer.status_code == 200, answer.text
    CaseMade.model_validate(answer.json())
    case_id: str = answer.json()["case"]["case_id"]
    return case_id


async def add(client: httpx.AsyncClient, case_id: str, **asked: Any) -> dict[str, Any]:
    answer = await client.post(f"/v1/cases/{case_id}/members", json=asked)
    assert answer.status_code == 200, answer.text
    MembersAdded.model_validate(answer.json())
    done: dict[str, Any] = answer.json()
    return done


async def shown(client: httpx.AsyncClient, case_id: str) -> dict[str, Any]:
    answer = await client.get(f"/v1/cases/{case_id}")
    assert answer.status_code == 200, answer.text
    CaseFound.model_validate(answer.json())
    found: dict[str, Any] = answer.json()
    return found
