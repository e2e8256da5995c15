"""Trees of which a part of the leaves is settled: what is left of them."""

from collections.abc import Callable

from detections.sigma.look import Look
from detections.sigma.predicates import to_test
from detections.sigma.tree import And, AtLeast, Leaf, Not, Or, Tree, all_of, any_of, at_least


def settle(tree: Tree, is_settled: Callable[[Leaf], bool], look: Look) -> Tree | bool:
    """Return what is left of a tree for all events that answer its settled leaves as this one."""
    match tree:
        case Leaf():
            return to_test(tree)(look) if is_settled(tree) else tree
        case Not(part):
            inner = settle(part, is_settled, look)
            return not inner if isinstance(inner, bool) else Not(inner)
        case And(parts) | Or(parts):
            decisive = isinstance(tree, Or)  # one true part makes it true, one false part an and
            settled = [settle(part, is_settled, look) for part in parts]
            if decisive in settled:
                return decisive
            left = _open(settled)
            join = any_of if decisive else all_of
            return join(left) if left else not decisive
        case AtLeast(count, parts):
            settled = [settle(part, is_settled, look) for part in parts]
            left = _open(settled)
            missing = count - sum(part is True for part in settled)
            is_open = 0 < missing <= len(left)
            return at_least(missing, left) if is_open else missing <= 0


def _open(parts: list[Tree | bool]) -> list[Tree]:
    return [part for part in parts if not isinstance(part, bool)]
