"""Kafka in the admin: dead letters to correct, replay or discard; offsets and the outbox to look at."""

from django.contrib import admin

from kafka_bridge.admin_base import ReadOnlyAdmin
from kafka_bridge.dead_letters.admin import DeadLetterAdmin
from kafka_bridge.models import ConsumerOffset, OutboxMessage
from kafka_bridge.monitoring.admin import LookupPageAdmin, OverviewPageAdmin

__all__ = ["ConsumerOffsetAdmin", "DeadLetterAdmin", "LookupPageAdmin", "OutboxMessageAdmin", "OverviewPageAdmin"]


@admin.register(ConsumerOffset)
class ConsumerOffsetAdmin(ReadOnlyAdmin):
    """How far each consumer has come."""

    list_display = ["consumer", "topic", "partition", "next_offset", "updated_at"]
    list_filter = ["consumer", "topic"]
    ordering = ["consumer", "topic", "partition"]


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """What waits for Kafka; the payload, which may hold personal data, is not shown."""

    list_display = ["event_id", "topic", "partition", "priority", "shard", "created_at"]
    list_filter = ["topic", "priority"]
    fields = ["event_id", "topic", "partition", "priority", "shard", "created_at"]
    ordering = ["id"]
