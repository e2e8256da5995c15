"""Forms that pages post: read once, bounded, and only from a page of the same session."""

import hmac
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.datastructures import FormData

from console.web.context import api_of
from console.web.problems import Refused
from schemas.views import View

CSRF: Final = "csrf"
FIELDS_MAX: Final = 1_000
TEXT_MAX: Final = 16_384


class Said(View):
    """What was just done, to be said on the page that follows."""

    done: str = ""


class Form:
    """The fields of a posted form, as texts."""

    def __init__(self, given: FormData) -> None:
        self._given = given

    def text(self, name: str, *, length_max: int = TEXT_MAX) -> str:
        """Return a field without spaces around it; "" if it is not there. Raises `Refused`."""
        return self.raw(name, length_max=length_max).strip()

    def raw(self, name: str, *, length_max: int = TEXT_MAX) -> str:
        """Return a field as it was typed, such as a password. Raises `Refused`."""
        found = self._given.get(name, "")
        text = found if isinstance(found, str) else ""
        if len(text) > length_max:
            raise Refused(
                "bad_parameter",
                f"{name} is too long",
                field=name,
                cure=f"give at most {length_max} characters",
            )
        return text

    def required(self, name: str, *, length_max: int = TEXT_MAX) -> str:
        """Return a field that must not be empty. Raises `Refused`."""
        text = self.text(name, length_max=length_max)
        if not text:
            raise Refused("bad_parameter", f"{name} is missing", field=name, cure="fill it in")
        return text

    def many(self, name: str) -> list[str]:
        """Return all values of a field that may stand several times, such as check boxes."""
        return [value for value in self._given.getlist(name) if isinstance(value, str)]


async def read_form(request: Request) -> Form:
    """Read the form. Raises `Refused` unless it carries the secret of the session's pages."""
    principal = api_of(request).principal
    given = await request.form(max_files=0, max_fields=FIELDS_MAX)
    carried = given.get(CSRF, "")
    is_own = isinstance(carried, str) and hmac.compare_digest(
        carried.encode(), principal.csrf.encode()
    )
    if principal.kind == "session" and not (principal.csrf and is_own):
        raise Refused("form_expired", "the form is not of this session")
    return Form(given)


Fields = Annotated[Form, Depends(read_form)]
