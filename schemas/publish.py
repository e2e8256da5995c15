"""`python -m schemas.publish` writes the JSON Schema of the event next to its model."""

import json
from pathlib import Path
from typing import Final

from schemas.event import Event

PATH: Final = Path(__file__).with_name("event.schema.json")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def event_schema() -> str:
    """Return the published text: JSON Schema 2020-12, ends with a newline."""
    schema = {"$schema": DIALECT, **Event.model_json_schema(), "title": "Audit event"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(event_schema(), encoding="utf-8")
