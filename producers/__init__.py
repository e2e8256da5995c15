"""From outside to Kafka: the publisher, source mappers and the sample traffic."""

from producers.lane import Outcome, Receipt
from producers.publisher import Publisher
from producers.sync import SyncPublisher

__all__ = ["Outcome", "Publisher", "Receipt", "SyncPublisher"]
