"""The part of the store that exports need, and how its questions are bounded."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from console.search.reading import Settings

MEMORY_BYTES_MAX: Final = 201_326_592  # of one query: two at once, over a heap of tens of MiB
SECONDS_MAX: Final = 600  # the plan of a search in the details reads every row once


class Stored(Protocol):
    """What answers; safe from several threads."""

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> list[dict[str, Any]]:
        """Run a SELECT, one dict a row."""
        ...

    def raw(self, sql: str, parameters: Mapping[str, Any], *, fmt: str) -> bytes:
        """Run a SELECT and return what the store writes in this format."""
        ...


BOUNDS: Final[Settings] = {
    "max_execution_time": SECONDS_MAX,
    "timeout_overflow_mode": "throw",
    "max_memory_usage": MEMORY_BYTES_MAX,
    "max_bytes_before_external_group_by": MEMORY_BYTES_MAX // 2,
    "max_bytes_before_external_sort": MEMORY_BYTES_MAX // 2,
    "optimize_read_in_order": 1,
}
# One thread a query, so that two pieces fill two cores and neither holds blocks of the other's.
_WRITING: Final[Settings] = {
    **BOUNDS,
    "max_threads": 1,
    "prefer_column_name_to_alias": 1,  # a typed column has the name of the one it is made of
    "max_block_size": 1_024,  # of wide rows; each block stands in memory several times
    "max_read_buffer_size": 65_536,
    "output_format_parallel_formatting": 0,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_escape_forward_slashes": 0,
    "output_format_arrow_string_as_string": 1,
    "output_format_arrow_low_cardinality_as_dictionary": 0,
    "output_format_arrow_compression_method": "none",
}


def writing_settings() -> str:
    """Return the SETTINGS of a query for `Stored.raw`."""
    given = (
        f"{name} = '{value}'" if isinstance(value, str) else f"{name} = {value}"
        for name, value in _WRITING.items()
    )
    return "SETTINGS " + ", ".join(given)
