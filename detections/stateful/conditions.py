"""Extended conditions of temporal correlations: trees over which rules occurred. Pure."""

from collections.abc import Set as AbstractSet

from detections.sigma.ruleset import BoolOp, ConditionTree, SlotRef


def holds(
    tree: ConditionTree,
    within: AbstractSet[int],
    around: AbstractSet[int],
    *,
    is_negated: bool = False,
) -> bool:
    """Say whether the condition holds: what it wants is `within`, what not is not `around`."""
    match tree:
        case SlotRef(slot):
            return slot in (around if is_negated else within)
        case BoolOp("not", parts):
            return not holds(parts[0], within, around, is_negated=not is_negated)
        case BoolOp("and", parts):
            return all(holds(part, within, around, is_negated=is_negated) for part in parts)
        case BoolOp(_, parts):
            return any(holds(part, within, around, is_negated=is_negated) for part in parts)


def wanted_slots(tree: ConditionTree, *, is_negated: bool = False) -> frozenset[int]:
    """Return the rules whose occurrence the condition asks for."""
    if isinstance(tree, SlotRef):
        return frozenset() if is_negated else frozenset((tree.slot,))
    flipped = is_negated != (tree.op == "not")
    return frozenset().union(*(wanted_slots(part, is_negated=flipped) for part in tree.parts))


def has_not(tree: ConditionTree) -> bool:
    """Say whether more events could undo the condition."""
    if isinstance(tree, SlotRef):
        return False
    return tree.op == "not" or any(map(has_not, tree.parts))


def is_conjunction(tree: ConditionTree) -> bool:
    """Say whether the condition is an AND of rules and negated rules."""
    if isinstance(tree, SlotRef):
        return True
    if tree.op == "not":
        return isinstance(tree.parts[0], SlotRef)
    return tree.op == "and" and all(map(is_conjunction, tree.parts))
