"""What of the events somebody may see: their tenant's, neither canaries nor reads unless asked."""

from typing import Final

from console.access import Principal
from console.query.conditions import Conditions, unbounded
from schemas.canary import CANARY
from schemas.console_mark import READ

NO_CANARIES: Final = f"NOT has(flags, '{CANARY}')"  # only a true mark has that flag
IS_READ: Final = f"has(flags, '{READ}')"  # so has this: others may take a read's action
NO_READS: Final = f"NOT ({IS_READ})"


def scoped(principal: Principal, *, reads: bool = False, canaries: bool = False) -> Conditions:
    """Return what every query on `events` begins with. The tenant is the credential's.

    Raises `Refused` if `reads` are asked for by somebody who may not read them.
    """
    found = unbounded()
    if principal.tenant is not None:
        found = found.also("tenant = {tenant:String}", tenant=principal.tenant)
    if reads:
        principal.require("read_reads")
    else:
        found = found.also(NO_READS)
    return found if canaries else found.also(NO_CANARIES)
