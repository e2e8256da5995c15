"""Topics as the promises need them: made where absent, verified where present, identified."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    IncompatibleBrokerVersion,
    InvalidPartitionsError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
    UnsupportedVersionError,
    for_code,
)

from runtime.kafka_metadata import TopicIdRequest
from schemas.errors import BrokerUnavailable, Misconfigured
from schemas.topics import EVENTS, RECORDS, SIGNALS, STATE, TopicSpec

REQUEST_TIMEOUT_MS: Final = 15_000
VISIBLE_TIMEOUT_S: Final = 15.0  # a topic is made at once, and known to every broker soon after
POLL_S: Final = 0.05
OPERATOR_ERRORS: Final = (  # waiting cures none of these
    AuthenticationFailedError,
    AuthenticationMethodNotSupported,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    IncompatibleBrokerVersion,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
    UnsupportedVersionError,
)
FOLLOWERS: Final = {RECORDS: EVENTS, STATE: SIGNALS}  # each has every partition of the other
ClientOptions = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TopicFault:
    """One setting that is not as the promises need it."""

    topic: str
    setting: str
    want: str
    have: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.setting} is {self.have}, must be {self.want}"


@dataclass(frozen=True, slots=True)
class TopicSeen:
    """A topic as the broker's metadata has it."""

    topic_id: str
    partitions: int
    replication: int


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it was found; `topic_id` is "" and there is one fault when it does not exist.

    `partitions_over` is how many partitions it has more than its spec: no fault.
    """

    name: str
    topic_id: str
    partitions: int
    is_created: bool
    faults: tuple[TopicFault, ...]
    partitions_over: int = 0
    is_grown: bool = False

    @property
    def is_right(self) -> bool:
        """Whether nothing is to be changed."""
        return not self.faults


async def ensure_topics(
    bootstrap: str,
    specs: Sequence[TopicSpec],
    *,
    verify_only: bool = False,
    client_options: ClientOptions | None = None,
) -> list[TopicState]:
    """Create what is missing, and report on each topic in the order of `specs`.

    Never alters a topic that exists: each wrong setting is a fault of its state; only
    audit.records is given as many partitions as audit.events has, and audit.state as many as
    audit.signals. Idempotent, and safe beside
    another that does the same. Raises `BrokerUnavailable`; `Misconfigured` when the
    broker refuses a topic or the client.
    """
    names = [spec.name for spec in specs]
    async with _admin(bootstrap, client_options) as admin:
        absent = set(names) - (await described(admin, names)).keys()
        created: set[str] = set()
        if not verify_only and absent:
            created = await _create(admin, [spec for spec in specs if spec.name in absent])
            await _until_visible(admin, names)
        found = await described(admin, names)
        grown: set[str] = set()
        for follower, leader in FOLLOWERS.items():
            if not verify_only and _lacks(found, leader, follower):
                await _grow(admin, follower, found[leader].partitions)
                grown.add(follower)
        if grown:
            found = await described(admin, names)
        configs = await _configs(admin, sorted(found))
    return [
        replace(
            _state(_following(spec, found), found.get(spec.name), configs.get(spec.name, {})),
            is_created=spec.name in created,
            is_grown=spec.name in grown,
            partitions_over=_over(spec, found),
        )
        for spec in specs
    ]


def check_partitions(found: Mapping[str, TopicSeen], source: str, records: str) -> None:
    """Raise `Misconfigured` unless each partition of `source` has its like in `records`."""
    if _lacks(found, source, records):
        raise Misconfigured(
            f"{source} has {found[source].partitions} partitions, {records} only"
            f" {found[records].partitions}: run `audit topics`, which adds the missing ones"
        )


async def topic_ids(
    bootstrap: str, names: Iterable[str], *, client_options: ClientOptions | None = None
) -> dict[str, str]:
    """Return Kafka's id of each topic that exists: it changes when a topic is made anew.

    Raises `BrokerUnavailable`; `Misconfigured` when the broker is too old to tell.
    """
    found = await see_topics(bootstrap, names, client_options=client_options)
    return {name: topic.topic_id for name, topic in found.items()}


async def see_topics(
    bootstrap: str, names: Iterable[str], *, client_options: ClientOptions | None = None
) -> dict[str, TopicSeen]:
    """Return the topics that exist, by name. Raises as `topic_ids` does."""
    async with _admin(bootstrap, client_options) as admin:
        return await described(admin, names)


async def find_coordinator(
    bootstrap: str, group: str, *, client_options: ClientOptions | None = None
) -> int:
    """Return the node that leads a consumer group.

    A new broker makes its topic of groups when it is first asked, and until then raises
    `BrokerUnavailable`.
    """
    async with _admin(bootstrap, client_options) as admin:
        node: int = await admin.find_coordinator(group)
        return node


async def end_offsets(
    bootstrap: str, topic: str, *, client_options: ClientOptions | None = None
) -> dict[int, int]:
    """Return for each partition 1 + its last offset. Raises `BrokerUnavailable`."""
    async with _consumer(bootstrap, client_options) as consumer:
        return _by_partition(await consumer.end_offsets(await _partitions(consumer, topic)))


async def delete_topics(
    bootstrap: str, names: Sequence[str], *, client_options: ClientOptions | None = None
) -> None:
    """Delete topics with everything in them; absent ones are no error."""
    async with _admin(bootstrap, client_options) as admin:
        response = await admin.delete_topics(list(names))
        for name, code in response.topic_error_codes:
            error = for_code(code)
            if code and error is not UnknownTopicOrPartitionError:
                raise BrokerUnavailable(f"topic {name} was not deleted: {error.__name__}")


@asynccontextmanager
async def translated(bootstrap: str) -> AsyncIterator[None]:
    """Turn the client's errors into ours, naming the broker's address."""
    try:
        yield
    except OPERATOR_ERRORS as error:
        raise Misconfigured(f"Kafka at {bootstrap} refuses us: {type(error).__name__}") from error
    except (KafkaError, OSError, TimeoutError) as error:
        name = type(error).__name__
        raise BrokerUnavailable(f"Kafka at {bootstrap} does not serve: {name}") from error


@asynccontextmanager
async def _admin(bootstrap: str, options: ClientOptions | None) -> AsyncIterator[Any]:
    async with translated(bootstrap):
        admin = AIOKafkaAdminClient(
            bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS, **(options or {})
        )
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


@asynccontextmanager
async def _consumer(bootstrap: str, options: ClientOptions | None) -> AsyncIterator[Any]:
    async with translated(bootstrap):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, request_timeout_ms=REQUEST_TIMEOUT_MS, **(options or {})
        )
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[Any]:
    # `partitions_for_topic` of a consumer without a subscription knows no topic, ever
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - no public way
    numbers = cluster.partitions_for_topic(topic)
    if not numbers:
        raise Misconfigured(f"topic {topic} does not exist: run `audit topics`")
    return [TopicPartition(topic, number) for number in sorted(numbers)]


def _by_partition(offsets: Mapping[Any, int]) -> dict[int, int]:
    return {where.partition: offset for where, offset in offsets.items()}


async def described(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, TopicSeen]:
    """Return the topics that exist, by name; inside `translated`."""
    try:
        response = await admin._send_request(TopicIdRequest(list(names)))  # noqa: SLF001
    except NotImplementedError as error:
        raise Misconfigured("the broker tells no topic ids: it must be Kafka 3.1+") from error
    found: dict[str, TopicSeen] = {}
    for topic in response.to_object()["topics"]:
        if topic["error_code"] == 0:
            partitions = topic["partitions"]
            replication = min((len(part["replicas"]) for part in partitions), default=0)
            found[topic["topic"]] = TopicSeen(topic["topic_id"], len(partitions), replication)
        elif for_code(topic["error_code"]) is not UnknownTopicOrPartitionError:
            raise for_code(topic["error_code"])(topic["topic"])
    return found


async def _create(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> set[str]:
    """Create the topics; one that another made meanwhile is left to the verification."""
    wanted = [
        NewTopic(
            name=spec.name,
            num_partitions=spec.partitions,
            replication_factor=spec.replication,
            topic_configs=dict(spec.config),
        )
        for spec in specs
    ]
    response = await admin.create_topics(wanted, timeout_ms=REQUEST_TIMEOUT_MS)
    created: set[str] = set()
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if code == 0:
            created.add(name)
        elif error is TopicAlreadyExistsError:
            continue
        elif getattr(error, "retriable", False):
            raise BrokerUnavailable(f"topic {name} was not created: {error.__name__}")
        else:
            detail = message[0] if message and message[0] else error.__name__
            raise Misconfigured(f"the broker refuses topic {name}: {detail}")
    return created


def _lacks(found: Mapping[str, TopicSeen], source: str, records: str) -> bool:
    both = source in found and records in found
    return both and found[records].partitions < found[source].partitions


def _following(spec: TopicSpec, found: Mapping[str, TopicSeen]) -> TopicSpec:
    """Return the spec, for a topic that follows another with at least the other's partitions."""
    leader = found.get(FOLLOWERS.get(spec.name, ""))
    if leader is None:
        return spec
    return replace(spec, partitions=max(spec.partitions, leader.partitions))


async def _grow(admin: AIOKafkaAdminClient, name: str, partitions: int) -> None:
    """Add partitions until there are so many; another may be doing the same."""
    with suppress(InvalidPartitionsError):  # there are so many already
        await admin.create_partitions(
            {name: NewPartitions(partitions)}, timeout_ms=REQUEST_TIMEOUT_MS
        )
    async with asyncio.timeout(VISIBLE_TIMEOUT_S):
        while (await described(admin, [name]))[name].partitions < partitions:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)


async def _until_visible(admin: AIOKafkaAdminClient, names: Sequence[str]) -> None:
    async with asyncio.timeout(VISIBLE_TIMEOUT_S):
        while set(names) - (await described(admin, names)).keys():  # noqa: ASYNC110 - no event
            await asyncio.sleep(POLL_S)


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(asked):
        for code, _message, _kind, name, entries in response.resources:
            if code:
                raise for_code(code)(name)
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


def _over(spec: TopicSpec, found: Mapping[str, TopicSeen]) -> int:
    return max(0, found[spec.name].partitions - spec.partitions) if spec.name in found else 0


def _state(spec: TopicSpec, topic: TopicSeen | None, config: Mapping[str, str]) -> TopicState:
    if topic is None:
        missing = TopicFault(spec.name, "topic", "there", "missing")
        return TopicState(spec.name, "", 0, is_created=False, faults=(missing,))
    pairs = {
        # more partitions than asked for break no promise, and none can be taken away
        "partitions": (str(max(spec.partitions, topic.partitions)), str(topic.partitions)),
        "replication": (str(spec.replication), str(topic.replication)),
    } | {name: (want, config.get(name, "unknown")) for name, want in spec.config.items()}
    faults = tuple(
        TopicFault(spec.name, name, want, have)
        for name, (want, have) in pairs.items()
        if want != have
    )
    return TopicState(spec.name, topic.topic_id, topic.partitions, is_created=False, faults=faults)
