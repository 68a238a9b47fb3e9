"""What an event is: its class, its topic, its encoding and its frozen schema.

Apps import the names below to declare their events in `events.py`.
"""

from kafka_bridge.events.event import Event, Instant, Text
from kafka_bridge.events.topics import DAY_MS, Partition, Topic

__all__ = ["DAY_MS", "Event", "Instant", "Partition", "Text", "Topic"]
