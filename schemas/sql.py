"""What POST /v1/sql answers."""

from typing import Any

from schemas.views import View


class SqlFound(View):
    """Columns with their types, and rows of their values; `more` if there are more rows.

    For a credential of one tenant `seconds` are whole ones and `rows_read` is null: both tell of
    rows of other tenants.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool
    seconds: float
    rows_read: int | None
