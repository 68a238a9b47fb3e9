"""From a request to a topic: `publish`, the transactional outbox and its relay.

Apps import `publish` and the module `outbox` from here.
"""

from kafka_bridge.publishing.producer import publish

__all__ = ["publish"]
