"""Looks at topics again and again over one connection: a request costs about a millisecond."""

from collections.abc import Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient

from runtime.topics import ClientOptions, TopicSeen, described, translated
from schemas.errors import BrokerUnavailable

LOOK_TIMEOUT_MS: Final = 5_000


class TopicLook:
    """Asks the broker for topics; opens its connection when first asked, and after a failure."""

    def __init__(self, bootstrap: str, client_options: ClientOptions | None = None) -> None:
        self._bootstrap = bootstrap
        self._options = dict(client_options or {})
        self._admin: Any = None

    async def __call__(self, names: Sequence[str]) -> dict[str, TopicSeen]:
        """Return the topics that exist. One call at a time. Raises `BrokerUnavailable`."""
        try:
            async with translated(self._bootstrap):
                if self._admin is None:
                    self._admin = AIOKafkaAdminClient(
                        bootstrap_servers=self._bootstrap,
                        request_timeout_ms=LOOK_TIMEOUT_MS,
                        **self._options,
                    )
                    await self._admin.start()
                return await described(self._admin, names)
        except BrokerUnavailable:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection; the next call opens another."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()
