"""What is wrong with a rule; it never leaves this package, but ends as a Refusal."""

from schemas.errors import AuditError


class BadRule(AuditError):
    """One rule that can't be taken; `at` names the part of its document, "detection.selection"."""

    def __init__(self, reason: str, at: str = "", line: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.at = at
        self.line = line
