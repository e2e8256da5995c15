"""Every error this project raises, as one tree.

AuditError
├── BadEvent            the data is wrong: quarantine it with its reason, never retry
├── Unavailable         the world is wrong: keep everything, back off, retry
│   ├── BrokerUnavailable
│   ├── StoreUnavailable
│   └── TargetUnavailable
├── Misconfigured       the operator is wrong: refuse to start, exit 2
├── Fenced              another owner has the partition: drop its state, touch nothing
└── Broken              the evidence contradicts itself: stop the partition, a human must look

Everything else is a bug: it crashes the process and the broker replays. No message ever holds
a value taken from an event, because values may be secrets.
"""


class AuditError(Exception):
    """The root of the tree."""


class BadEvent(AuditError):
    """One message that can't become an event; `reason` is "field:kind", `hint` names the cure."""

    def __init__(self, field: str, kind: str, hint: str = "") -> None:
        super().__init__(f"{field}:{kind}" + (f" ({hint})" if hint else ""))
        self.field = field
        self.kind = kind
        self.hint = hint

    @property
    def reason(self) -> str:
        """The "field:kind" by which quarantined rows are counted and searched."""
        return f"{self.field}:{self.kind}"


class Unavailable(AuditError):
    """A dependency is away, slow or refuses: nothing is lost, try again later."""


class BrokerUnavailable(Unavailable):
    """Kafka did not answer or did not accept."""


class StoreUnavailable(Unavailable):
    """ClickHouse did not answer, or refused for a reason that passes."""


class TargetUnavailable(Unavailable):
    """A notification target did not take an alert."""


class Misconfigured(AuditError):
    """A setting, a file or the environment is wrong; the message names it and the cure."""


class Fenced(AuditError):
    """The group gave this partition to another owner while we worked on it."""


class Broken(AuditError):
    """Coordinates, counts or bytes contradict each other; going on could hide a loss."""
