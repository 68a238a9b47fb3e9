"""The engine's admin: dead letters, pages of the whole system, consumer offsets and the outbox."""

from django.contrib import admin

from kafka_bridge.admin_base import ReadOnlyAdmin
from kafka_bridge.dead_letters.admin import DeadLetterAdmin
from kafka_bridge.models import ConsumerOffset, OutboxMessage
from kafka_bridge.monitoring.admin import LookupPageAdmin, OverviewPageAdmin

__all__ = ["ConsumerOffsetAdmin", "DeadLetterAdmin", "LookupPageAdmin", "OutboxMessageAdmin", "OverviewPageAdmin"]


@admin.register(ConsumerOffset)
class ConsumerOffsetAdmin(ReadOnlyAdmin):
    """The next offset of each consumer in each partition."""

    list_display = ["consumer", "topic", "partition", "next_offset", "updated_at"]
    list_filter = ["consumer", "topic"]
    ordering = ["consumer", "topic", "partition"]


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """Messages that wait for Kafka. The payload is hidden, because it may hold personal data."""

    list_display = ["event_id", "topic", "partition", "priority", "shard", "created_at"]
    list_filter = ["topic", "priority"]
    fields = ["event_id", "topic", "partition", "priority", "shard", "created_at"]
    ordering = ["id"]
