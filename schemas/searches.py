"""Saved searches as the REST API takes and shows them."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.views import View

NAME_MAX: Final = 100
QUERY_MAX: Final = 4_096
COLUMNS_MAX: Final = 1_024

Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]


class SavedSearch(View):
    """A query under a name. `shared` ones can be run by everybody of the tenant."""

    search_id: str
    name: str
    q: str
    columns: str = ""
    owner: str
    shared: bool
    own: bool
    created: str
    changed: str


class SavedSearches(View):
    """One's own, then those that others share, by name."""

    searches: tuple[SavedSearch, ...]


class SearchToSave(BaseModel):
    """What to save; a name that is there already is replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    q: Annotated[str, Field(max_length=QUERY_MAX, description="The query, as /v1/events takes it.")]
    columns: Annotated[str, Field(max_length=COLUMNS_MAX)] = ""
    shared: Annotated[bool, Field(strict=True)] = False
