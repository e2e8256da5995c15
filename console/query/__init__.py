"""The query language: what people type, as data, and as conditions on `events`. Pure."""

from console.query.compile import compile_query
from console.query.completion import complete
from console.query.describe import describe
from console.query.fault import QueryError
from console.query.parse import parse
from console.query.text import text_of

__all__ = ["QueryError", "compile_query", "complete", "describe", "parse", "text_of"]
