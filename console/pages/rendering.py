"""Templates into HTML: everything is escaped, and a name that isn't there is a bug."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from console.pages.visible import visible

TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def load_static() -> dict[str, bytes]:
    """Return the files of static/ by name."""
    folder = resources.files("console.pages").joinpath("static")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


STATIC: Final = load_static()
VERSIONS: Final = {name: hashlib.sha256(body).hexdigest()[:12] for name, body in STATIC.items()}


def static(name: str) -> str:
    """Return the address of a file of static/, which changes with its content."""
    return f"/static/{name}?v={VERSIONS[name]}"


def number(value: float) -> str:
    """Return a number for people: 12,345."""
    return f"{value:,}"


def moment(value: str) -> str:
    """Return RFC 3339 as pages show it: 2026-11-23 05:12:40, in UTC."""
    return value[:19].replace("T", " ")


def ago(value_ms: int, now_ms: int) -> str:
    """Return how long ago a moment was, in one unit."""
    seconds = max(0, now_ms - value_ms) // 1000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def from_ms(value_ms: int) -> str:
    """Return milliseconds since 1970 as pages show moments."""
    return f"{datetime.fromtimestamp(value_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def link(path: str, **parameters: object) -> str:
    """Return an address of ours with parameters; those that are None or empty are left out."""
    given = {name: value for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def pretty(value: object) -> str:
    """Return JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def environment() -> Environment:
    """Return the environment of all templates."""
    made = Environment(
        loader=PackageLoader("console.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
        auto_reload=False,
    )
    made.filters |= {
        "number": number,
        "moment": moment,
        "from_ms": from_ms,
        "ago": ago,
        "pretty": pretty,
        "segment": lambda text: quote(str(text), safe=""),
    }
    made.globals |= {"static": static, "link": link}
    return made


TEMPLATES: Final = environment()


def render(template: str, view: Mapping[str, Any]) -> str:
    """Return the page."""
    return TEMPLATES.get_template(template).render(view)
