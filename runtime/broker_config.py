"""The files that the embedded Kafka reads: server.properties and its logging, as text."""

from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured

MESSAGE_BYTES_MAX: Final = 4_194_304 + 65_536  # a record batch of 4 MiB and its frame
YEAR_MINUTES: Final = 525_600

FIXED: Final[dict[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    # a topic is made by `ensure_topics` with the settings the promises need, or not at all
    "auto.create.topics.enable": "false",
    # one node: everything internal once, and few partitions, for each costs files and memory
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # a worker that was killed gives its partitions up within seconds
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # a sink that stood still for months still finds its place
    "offsets.retention.minutes": str(YEAR_MINUTES),
    "message.max.bytes": str(MESSAGE_BYTES_MAX),
    "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
    "unclean.leader.election.enable": "false",
    # sized for two shared cores and 600 MiB
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.dedupe.buffer.size": str(8 << 20),  # 128 MiB by default
    "log.index.size.max.bytes": str(2 << 20),
    "queued.max.requests": "100",
    # after kill -9 the node waits for its own former session to end: 9 s by default
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}

LOGGING: Final = """\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${sys:audit.logs}/broker.log
appender.file.filePattern = ${sys:audit.logs}/broker.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601_OFFSET_DATE_TIME_HHMM} %p %m (%c)%n%throwable
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 5MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
"""


def server_properties(*, log_dir: Path, port: int, controller_port: int, host: str) -> str:
    """Return server.properties for one node that listens on `host` alone.

    Raises `Misconfigured` for a folder with a comma, which Kafka takes for two folders.
    """
    if "," in str(log_dir):
        raise Misconfigured(f"Kafka takes a comma in a folder's name for two folders: {log_dir}")
    placed = {
        "listeners": f"PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{host}:{port}",
        "controller.quorum.voters": f"1@{host}:{controller_port}",
        "log.dirs": str(log_dir),
    }
    return "".join(f"{name}={_escaped(value)}\n" for name, value in (FIXED | placed).items())


def _escaped(value: str) -> str:
    """Write a value as Java's Properties read it back: Latin-1 only, backslash escapes."""
    units = value.encode("utf-16-be", "surrogatepass")
    pairs = (units[i] << 8 | units[i + 1] for i in range(0, len(units), 2))
    return "".join(
        "\\\\" if unit == ord("\\") else chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}"  # noqa: PLR2004
        for unit in pairs
    )
