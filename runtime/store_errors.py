"""What ClickHouse's errors mean to us: who must act, in words that quote no value."""

from typing import Final

from clickhouse_connect.driver.exceptions import OperationalError

from schemas.errors import AuditError, Broken, Misconfigured, StoreUnavailable

ENDED: Final = OperationalError("ended at its bound, without an answer")
_TOO_MANY_PARTS: Final = 252
_CONSTRAINT: Final = 469
BOUND_CODES: Final = frozenset({158, 159, 160, 241, 307, 396})  # time, memory, rows, bytes
_FRESH: Final = "writer_is_fresh"
# The server says no for what is in the rows or the statement: sending it again can't help.
_DATA_CODES: Final = frozenset(
    {6, 16, 20, 26, 27, 33, 38, 41, 42, 43, 46, 47, 53, 62, 69, 70, 72, 117, 130, 131, 184, 349}
    | {456, 675, 676, 691}
)
# The operator must act: unknown table or database, unknown setting, no access, wrong password.
_OPERATOR_CODES: Final = {
    60: "run `audit migrate`",
    81: "run `audit migrate`",
    115: "use ClickHouse 26 or newer",
    164: "give the user the rights in deploy/clickhouse",
    192: "check the user in the DSN",
    193: "check the password in the DSN",
    497: "give the user the rights in deploy/clickhouse",
    516: "check user and password in the DSN",
}


class DeadlinePassed(StoreUnavailable):
    """The server refused rows whose batch deadline is over: nothing of them was written."""


class TooBroad(StoreUnavailable):
    """The query hit its own bound of time, memory or rows: narrow it, or try when it is quiet."""


def translated(error: Exception, what: str) -> AuditError:
    """Map what the driver raised on who must act. Never quotes the server: it quotes values."""
    if error is ENDED:
        return TooBroad(f"{what}: {error}")
    code = getattr(error, "code", None)
    said = f"{what}: {getattr(error, 'name', None) or type(error).__name__} ({code})"
    if code == _CONSTRAINT:
        return DeadlinePassed(said) if _FRESH in str(error) else Broken(said)
    if code == _TOO_MANY_PARTS:  # both a busy table and a batch cut wrongly
        return (
            Broken(said) if "artitions for single INSERT" in str(error) else StoreUnavailable(said)
        )
    if code in _DATA_CODES:
        return Broken(said)
    if code in _OPERATOR_CODES:
        return Misconfigured(f"{said}: {_OPERATOR_CODES[code]}")
    return TooBroad(said) if code in BOUND_CODES else StoreUnavailable(said)


def without_text(error: Exception) -> Exception:
    """Return a stand-in for the cause: its kind, not its text, which may quote rows or secrets."""
    return type(error)(f"code {getattr(error, 'code', None)}")
