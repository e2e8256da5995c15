"""Changes: what the details say of before and after, as three lists side by side."""

from typing import Any, Final, NamedTuple

import orjson

CHANGES_MAX: Final = 64  # of one event; more are in its raw bytes
NODES_MAX: Final = 1_000  # objects and lists that are looked into
VALUE_BYTES_MAX: Final = 16_384  # of one JSON text; 2 x 64 of them are at most 2 MiB
PATH_MAX: Final = 256  # characters
TOO_LONG: Final = '"(too long, see the details)"'


class Changes(NamedTuple):
    """Paths of what changed; the JSON texts beside them are '' where a side is absent.

    `is_cut` says that there was more than the bounds allow.
    """

    changed: list[str]
    before: list[str]
    after: list[str]
    is_cut: bool


NONE: Final = Changes([], [], [], is_cut=False)


def find_changes(details: dict[str, Any]) -> Changes:
    """Find every object that has a `before` or an `after`, breadth first; total for any JSON.

    What lies under a before or an after belongs to it and is not searched.
    """
    if "before" not in details and "after" not in details:
        for value in details.values():
            if type(value) is dict or type(value) is list:
                break
        else:
            return NONE  # flat details without a change: nearly all events
    return _search(details)


def _search(details: dict[str, Any]) -> Changes:
    changed: list[str] = []
    before: list[str] = []
    after: list[str] = []
    is_cut = False
    queue: list[tuple[str, Any]] = [("details", details)]
    for path, node in queue:  # grows while it is walked
        items = enumerate(node) if isinstance(node, list) else node.items()
        if isinstance(node, dict) and ("before" in node or "after" in node):
            if len(changed) >= CHANGES_MAX:
                return Changes(changed, before, after, is_cut=True)
            changed.append(path)
            before.append(_to_text(node, "before"))
            after.append(_to_text(node, "after"))
        for key, value in items:
            if not isinstance(value, dict | list) or key in ("before", "after"):
                continue
            if len(queue) >= NODES_MAX:
                is_cut = True
                break
            queue.append((f"{path}.{key}"[:PATH_MAX], value))
    return Changes(changed, before, after, is_cut)


def _to_text(node: dict[str, Any], key: str) -> str:
    if key not in node:
        return ""
    text = orjson.dumps(node[key])
    return text.decode() if len(text) <= VALUE_BYTES_MAX else TOO_LONG
