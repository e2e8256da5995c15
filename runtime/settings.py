"""Every setting of every service: its unit in the name, its bounds, its default and why.

Read through `runtime.configuration`, so that files, the environment and misspelt names are
judged together; constructing a class directly reads neither.
"""

import os
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from runtime.console_settings import ApiSettings, OidcSettings
from runtime.settings_base import DAY_S, MIB, Port, ServiceSettings
from runtime.store_address import parse_dsn
from schemas.errors import Misconfigured

__all__ = [
    "ALL",
    "AlertSettings",
    "ApiSettings",
    "CanarySettings",
    "ExportSettings",
    "KafkaSettings",
    "LogSettings",
    "OidcSettings",
    "PipelineSettings",
    "RuleSettings",
    "ServiceSettings",
    "SinkSettings",
    "StoreSettings",
]

Level = Literal["debug", "info", "warning", "error"]


class LogSettings(ServiceSettings):
    """How every service logs."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_LOG_")

    level: Level = "info"
    """From which level on our own lines are shown; libraries speak from warning on."""
    format: Literal["auto", "json", "text"] = "auto"
    """auto: text on a terminal, JSON lines elsewhere."""


class KafkaSettings(ServiceSettings):
    """How every service reaches the broker, and how the topics are made."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_KAFKA_")

    bootstrap: Annotated[
        str,
        Field(
            pattern=r"^(\[[0-9a-fA-F:]+\]|[\w.\-]+):\d{1,5}(,(\[[0-9a-fA-F:]+\]|[\w.\-]+):\d{1,5})*$"
        ),
    ] = "127.0.0.1:9092"
    """Addresses to begin with, `host:port`, separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the connection is made; PLAINTEXT is for loopback."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How we prove who we are, with SASL_*."""
    sasl_username: Annotated[str, Field(max_length=256)] = ""
    """Our name at the broker, with SASL_*."""
    sasl_password: SecretStr = SecretStr("")
    """Our password at the broker, with SASL_*."""
    ssl_ca_file: Path | None = None
    """Certificates to trust, PEM; the system's where absent."""
    ssl_certificate_file: Path | None = None
    """Our own certificate, PEM, where the broker asks for one."""
    ssl_key_file: Path | None = None
    """Its private key, PEM."""
    partitions: Annotated[int, Field(ge=1, le=1024)] = 4
    """Partitions of each topic when it is made: the most workers that can share the work."""
    replication: Annotated[int, Field(ge=1, le=7)] = 1
    """Replicas of each partition; 3 on a cluster, where two must have a write before its ack."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password.get_secret_value()
        ):
            raise ValueError("SASL needs sasl_username and sasl_password")
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            raise ValueError("ssl_certificate_file and ssl_key_file go together")
        return self


class PipelineSettings(ServiceSettings):
    """Stage 1: validate, enrich, flag."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_PIPELINE_")

    group: Annotated[str, Field(pattern=r"^[\w.\-]{1,128}$")] = "audit-pipeline"
    """Consumer group of the workers; all that share the work have the same."""
    accept_window_s: Annotated[int, Field(ge=60, le=3650 * DAY_S)] = 7 * DAY_S
    """Events that happened longer ago than this when they came in are flagged `late`."""
    future_tolerance_s: Annotated[int, Field(ge=0, le=DAY_S)] = 300
    """Events that claim to happen later than this after they came in are flagged `future`."""
    strict: bool = False
    """Quarantine events with unknown top-level fields instead of counting them."""
    rules: bool = True
    """Run the detections and raise alerts."""
    signals_group: Annotated[str, Field(pattern=r"^[\w.\-]{1,128}$")] = "audit-stage-2"
    """Consumer group of stage 2, and the beginning of its transactional ids."""
    groups_max: Annotated[int, Field(ge=1_000, le=100_000_000)] = 1_000_000
    """Groups that rules with a memory may keep over all partitions; some 400 bytes each."""
    grace_s: Annotated[int, Field(ge=0, le=7 * DAY_S)] = 900
    """Events that came in longer after they happened are `delayed`: no window counts them."""
    source_idle_s: Annotated[int, Field(ge=5, le=DAY_S)] = 300
    """A partition of audit.events of which no worker speaks for so long holds no window open."""
    directory_file: Path | None = None
    """Who is who (YAML, JSON or CSV); reloaded when it changes."""
    policy_file: Path | None = None
    """Which resource holds what, and how long its events are kept (YAML); ours where absent."""
    geo_files: Annotated[tuple[Path, ...], NoDecode, Field(max_length=4)] = ()
    """Address to country and ASN (MMDB), separated by white space; a package's where absent."""
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=300_000)] = 6_000
    """After this long without a sign of life a worker's partitions go to the others."""
    heartbeat_ms: Annotated[int, Field(ge=100, le=60_000)] = 1_000
    """How often a worker gives a sign of life; at most a third of session_timeout_ms."""
    rebalance_timeout_ms: Annotated[int, Field(ge=1_000, le=600_000)] = 4_000
    """How long workers may take to agree on who has which partition."""
    health_host: str = "127.0.0.1"
    """Address of /live, /ready and /metrics."""
    health_port: Port = 6066
    """Port of /live, /ready and /metrics."""

    @field_validator("geo_files", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _beats_in_time(self) -> Self:
        if self.heartbeat_ms * 3 > self.session_timeout_ms:
            raise ValueError("heartbeat_ms must be at most a third of session_timeout_ms")
        return self


class RuleSettings(ServiceSettings):
    """Where detection rules are, beside those that ship."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_RULES_")

    dirs: Annotated[tuple[Path, ...], NoDecode, Field(max_length=64)] = ()
    """Folders of Sigma files, separated as in PATH; a change is taken over within seconds."""

    @field_validator("dirs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in value.split(os.pathsep) if part)


class CanarySettings(ServiceSettings):
    """Synthetic events that prove that each rule still speaks."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_CANARY_")

    period_s: Annotated[int, Field(ge=0, le=30 * DAY_S)] = 3_600
    """How often each rule's canary is sent, all of them spread over that time. 0: never."""
    deadline_s: Annotated[int, Field(ge=1, le=DAY_S)] = 60
    """A rule whose alert is not stored so long after its canary was sent, or after the end of the
    window that it waits for, is silent: that is an alert."""
    key_file: Path | None = None
    """Marks canaries: the same file for pipeline and alerts. `audit up` makes one in its data
    folder; elsewhere, without this, no canary is sent."""


class SinkSettings(ServiceSettings):
    """Kafka → ClickHouse, exactly once."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_SINK_")

    group: Annotated[str, Field(pattern=r"^[\w.\-]{1,128}$")] = "audit-sink"
    """Consumer group of the sinks."""
    rows_max: Annotated[int, Field(ge=1, le=60_000)] = 20_000
    """A batch is written once it has this many rows."""
    bytes_max: Annotated[int, Field(ge=4_096, le=128 * MIB)] = 24 * MIB
    """… or this many bytes; twice as much, and what the store makes of it, is in memory at once."""
    age_ms_max: Annotated[int, Field(ge=10, le=600_000)] = 350
    """… or is this old: most of the time from publish to searchable. Up to six times
    that where hundreds of rows wait or the sink is seconds behind: fewer batches cost less."""
    deadline_s: Annotated[int, Field(ge=5, le=3_600)] = 60
    """After this long an insert that has not arrived is refused by the store."""
    memory_bytes_max: Annotated[int, Field(ge=MIB, le=16_384 * MIB)] = 32 * MIB
    """Records that wait, over all partitions, compressed as Kafka has them (some eight to one);
    beyond it reading pauses."""
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=300_000)] = 6_000
    """After this long without a sign of life a sink's partitions go to the others."""
    heartbeat_ms: Annotated[int, Field(ge=100, le=60_000)] = 1_000
    """How often a sink gives a sign of life."""
    reconcile_every_s: Annotated[int, Field(ge=1, le=DAY_S)] = 15
    """How often Kafka's offsets are compared with the rows."""
    backoff_initial_ms: Annotated[int, Field(ge=10, le=60_000)] = 200
    """First wait when the store is away; it doubles up to backoff_max_ms."""
    backoff_max_ms: Annotated[int, Field(ge=10, le=600_000)] = 15_000
    """Longest wait between two tries."""
    health_host: str = "127.0.0.1"
    """Address of /live, /ready and /metrics."""
    health_port: Port = 6067
    """Port of /live, /ready and /metrics."""

    @model_validator(mode="after")
    def _is_ordered(self) -> Self:
        if self.heartbeat_ms * 3 > self.session_timeout_ms:
            raise ValueError("heartbeat_ms must be at most a third of session_timeout_ms")
        if self.backoff_initial_ms > self.backoff_max_ms:
            raise ValueError("backoff_initial_ms must not exceed backoff_max_ms")
        if self.bytes_max > self.memory_bytes_max:
            raise ValueError("bytes_max must not exceed memory_bytes_max")
        return self


class StoreSettings(ServiceSettings):
    """Where the events are kept."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_STORE_")

    dsn: SecretStr = SecretStr("clickhouse://default@127.0.0.1:8123/audit")
    """`chdb:///path` in process, or `clickhouse[s]://user:password@host:port/database`."""
    database: Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,63}$")] = "audit"
    """Database of the tables."""
    query_timeout_s: Annotated[int, Field(ge=1, le=600)] = 20
    """A read that takes longer is ended."""
    sql_dsn: SecretStr | None = None
    """Of a server: the user whose rights statements of the SQL page have; without it `dsn`'s."""

    @field_validator("dsn", "sql_dsn")
    @classmethod
    def _is_whole(cls, dsn: SecretStr | None) -> SecretStr | None:
        try:
            if dsn is not None:
                parse_dsn(dsn.get_secret_value())
        except Misconfigured as error:  # what pydantic collects is told with the setting's name
            raise ValueError(str(error).removeprefix("AUDIT_STORE_DSN: ")) from error
        return dsn


class AlertSettings(ServiceSettings):
    """Delivery of alerts."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_ALERT_")

    group: Annotated[str, Field(pattern=r"^[\w.\-]{1,128}$")] = "audit-alerts"
    """Consumer group of the delivery."""
    targets: Annotated[tuple[SecretStr, ...], NoDecode, Field(max_length=64)] = ()
    """Whom to tell: apprise URLs or `webhooks://host/path`, each with a name before it if you like
    (`ops=slack://…`), separated by white space (a list in a file)."""
    routes: Path | None = None
    """Who hears what and when (YAML, docs/alerts.md); without it every target hears all at once."""
    webhook_secret: SecretStr = SecretStr("")
    """Signs what goes to webhooks; rather in a file."""
    webhook_secret_file: Path | None = None
    """File whose first line signs what goes to webhooks."""
    link: Annotated[str, Field(pattern=r"^(https?://\S{1,400})?$")] = ""
    """Address of an alert's page, with {id} for its id; goes into every message."""
    group_window_s: Annotated[int, Field(ge=0, le=DAY_S)] = 3_600
    """An alert of the same rule and group within this time of the last one joins it: counted, and
    paged again only if it is more severe, or every repage_every alerts."""
    group_age_s_max: Annotated[int, Field(ge=60, le=DAY_S)] = DAY_S
    """A group this old takes no more: the next alert opens a new one, and pages."""
    repage_every: Annotated[int, Field(ge=0, le=1_000_000)] = 100
    """After so many alerts a group pages again; 0: never."""
    rule_per_minute: Annotated[float, Field(ge=0, le=100_000)] = 6
    """How often one rule may page a target; more goes later, in one message. 0: as it comes."""
    rule_burst: Annotated[int, Field(ge=1, le=100_000)] = 30
    """How many alerts of one rule go at once after a quiet time."""
    target_per_minute: Annotated[float, Field(ge=0, le=100_000)] = 30
    """How often a target is paged at all; more goes later, in one message. 0: as it comes."""
    target_burst: Annotated[int, Field(ge=1, le=100_000)] = 60
    """How many alerts go to a target at once after a quiet time."""
    health_host: str = "127.0.0.1"
    """Address of /live, /ready and /metrics."""
    health_port: Port = 6068
    """Port of /live, /ready and /metrics."""

    @field_validator("targets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if self.webhook_secret.get_secret_value() and self.webhook_secret_file is not None:
            raise ValueError("webhook_secret and webhook_secret_file exclude each other")
        return self


class ExportSettings(ServiceSettings):
    """Exports: files with events of a search, made in the background."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_EXPORT_")

    rows_max: Annotated[int, Field(ge=1, le=10_000_000_000)] = 100_000_000
    """One export has at most so many rows."""
    bytes_max: Annotated[int, Field(ge=MIB, le=1 << 50)] = 50 * 1024 * MIB
    """The files of finished exports together; a new one must fit in what is left."""
    open_max: Annotated[int, Field(ge=1, le=100)] = 3
    """How many exports of one person may wait or run; one runs at a time."""
    keep_s: Annotated[int, Field(ge=60, le=3650 * DAY_S)] = 7 * DAY_S
    """A finished file is removed after so long."""


ALL: Final[tuple[type[ServiceSettings], ...]] = (
    LogSettings,
    KafkaSettings,
    PipelineSettings,
    RuleSettings,
    CanarySettings,
    SinkSettings,
    StoreSettings,
    AlertSettings,
    ApiSettings,
    ExportSettings,
    OidcSettings,
)
