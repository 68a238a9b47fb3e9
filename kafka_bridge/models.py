"""The engine's own tables: consumers' offsets, the outbox, claims, dead letters and restores."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class ConsumerOffset(models.Model):
    """The next offset that a consumer will apply in a partition.

    It is written in the same transaction as the rows of the messages before it. `topic_uuid` is the
    broker's id of the topic: a deleted and recreated topic has another.
    """

    consumer = models.CharField(_("consumer"), max_length=100)
    topic = models.CharField(_("topic"), max_length=249)
    partition = models.PositiveIntegerField(_("partition"))
    next_offset = models.PositiveBigIntegerField(_("next offset"))
    topic_uuid = models.CharField(_("topic id"), max_length=40)
    updated_at = models.DateTimeField(_("updated"), db_default=Now())

    class Meta:
        verbose_name = _("consumer offset")
        verbose_name_plural = _("consumer offsets")
        constraints = [
            models.UniqueConstraint(fields=["consumer", "topic", "partition"], name="one_offset_per_partition")
        ]

    def __str__(self) -> str:
        return f"{self.consumer}: {self.topic}[{self.partition}] @ {self.next_offset}"


class OutboxMessage(models.Model):
    """A message that was accepted and that Kafka has not acknowledged yet.

    The relay deletes it when Kafka has. A relay locks a `shard`, so that messages with the same key
    leave in order (see publishing/relay.py). A message that Kafka refuses for good stays, with
    `refused_at`, until a person sends it again or discards it.
    """

    event_id = models.UUIDField(_("event id"))
    topic = models.CharField(_("topic"), max_length=249)
    partition = models.PositiveIntegerField(_("partition"))
    key = models.BinaryField(_("key"))
    value = models.BinaryField(_("value"))
    headers = models.JSONField(_("headers"))
    priority = models.BooleanField(_("priority"), default=False)
    shard = models.PositiveSmallIntegerField(_("shard"))
    created_at = models.DateTimeField(_("created"), db_default=Now())
    refused_at = models.DateTimeField(_("refused by Kafka"), null=True)
    refusal = models.CharField(_("Kafka's error"), max_length=100, blank=True, default="", db_default="")

    class Meta:
        verbose_name = _("message to publish")
        verbose_name_plural = _("messages to publish")
        ordering = ["id"]
        default_permissions = ["view"]  # people never add, change or delete one; their actions are below
        permissions = [
            ("resend_outboxmessage", _("Can send again what Kafka refused")),
            ("discard_outboxmessage", _("Can discard what Kafka refused")),
        ]
        indexes = [
            models.Index(fields=["shard", "-priority", "id"], name="outbox_by_shard"),
            models.Index(fields=["created_at"], name="outbox_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.topic}[{self.partition}]"


class Claim(models.Model):
    """The content that a client sent under an id of its own (see publishing/claims.py).

    Written before the event is published, kept for `claims.KEPT`.
    """

    event_id = models.UUIDField(_("event id"), primary_key=True, editable=False)
    content = models.JSONField(_("content"))
    created_at = models.DateTimeField(_("created"))

    class Meta:
        verbose_name = _("claimed id")
        verbose_name_plural = _("claimed ids")
        default_permissions = ["view"]
        indexes = [models.Index(fields=["created_at"], name="claims_by_age")]

    def __str__(self) -> str:
        return str(self.event_id)


class DeadLetter(models.Model):
    """A message that a consumer could not apply, with the reason.

    `error` never holds personal data; the payload may. The payload is stored whole, except if it
    is too large (`value_bytes` is then its size), or if the client could not unpack its batch: one
    row without content stands for the messages from `offset` to `last_offset`.
    """

    class Reason(models.TextChoices):
        UNDECODABLE = "undecodable", _("unreadable")
        UNKNOWN_TYPE = "unknown_type", _("unknown type or version")
        SCHEMA = "schema", _("does not match its schema")
        TOO_LARGE = "too_large", _("too large")
        HANDLER = "handler", _("the consumer failed")

    class State(models.TextChoices):
        OPEN = "open", _("pending")
        REPLAYED = "replayed", _("replayed")
        DISCARDED = "discarded", _("discarded")

    consumer = models.CharField(_("consumer"), max_length=100)
    topic = models.CharField(_("topic"), max_length=249)
    partition = models.PositiveIntegerField(_("partition"))
    offset = models.PositiveBigIntegerField(_("offset"))
    last_offset = models.PositiveBigIntegerField(
        _("last offset"), null=True, help_text=_("if the row stands for messages that could not be unpacked")
    )
    topic_uuid = models.CharField(_("topic id"), max_length=40)
    event_type = models.CharField(_("event type"), max_length=200, blank=True)
    key = models.BinaryField(_("key"), null=True)
    headers = models.JSONField(_("headers"))
    value = models.BinaryField(_("value"), null=True)
    value_bytes = models.PositiveBigIntegerField(
        _("size of the content"), null=True, help_text=_("in bytes, if only the beginning is kept")
    )
    message_at = models.DateTimeField(
        _("received by Kafka"), null=True, help_text=_("by the broker's clock; empty if its time cannot be true")
    )
    reason = models.CharField(_("reason"), max_length=20, choices=Reason.choices)
    error = models.TextField(_("error"))
    traceback = models.TextField(_("traceback"), blank=True)
    attempts = models.PositiveIntegerField(_("attempts"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField(_("created"), db_default=Now())
    corrected_value = models.BinaryField(
        _("corrected value"), null=True, help_text=_("the replayed payload, if it differs from the original")
    )
    discard_reason = models.TextField(_("reason for discarding"), blank=True)
    resolved_at = models.DateTimeField(_("resolved"), null=True)
    resolved_by = models.CharField(
        _("resolved by"), max_length=150, blank=True, help_text=_("the user who replayed or discarded the message")
    )

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ["-created_at", "-id"]
        default_permissions = ["view"]  # people never add, change or delete one; their actions are below
        permissions = [
            ("replay_deadletter", _("Can correct and replay dead letters")),
            ("discard_deadletter", _("Can discard dead letters")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="open", resolved_at=None)
                | models.Q(state__in=["replayed", "discarded"], resolved_at__isnull=False),
                name="dead_letter_resolved_once",
            ),
            models.UniqueConstraint(
                fields=["consumer", "topic", "topic_uuid", "partition", "offset"], name="one_dead_letter_per_message"
            ),
        ]
        indexes = [models.Index(fields=["state", "consumer", "created_at"], name="dead_letters_by_state")]

    def __str__(self) -> str:
        return f"{self.consumer}: {self.place} ({self.get_reason_display()})"

    @property
    def place(self) -> str:
        """Topic, partition and offset, or the range of offsets."""
        many = self.last_offset is not None and self.last_offset > self.offset
        return f"{self.topic}[{self.partition}] @ {self.offset}" + (f"–{self.last_offset}" if many else "")

    @property
    def is_whole(self) -> bool:
        """False if the content was too large to keep, or could not be unpacked."""
        return self.value_bytes is None and self.last_offset is None


class Restore(models.Model):
    """The moment of a restore from a backup.

    Events accepted before it are replayed history (see consuming/restore.py).
    """

    restored_at = models.DateTimeField(_("restored"), db_default=Now())

    class Meta:
        verbose_name = _("restore")
        verbose_name_plural = _("restores")
        default_permissions = ["view"]

    def __str__(self) -> str:
        return f"{self.restored_at:%Y-%m-%d %H:%M}"


class OverviewPage(ConsumerOffset):
    """No table: the menu entry and permission of the admin's page of the whole system."""

    class Meta:
        proxy = True
        default_permissions = ["view"]
        verbose_name = _("overview")
        verbose_name_plural = _("overview")


class LookupPage(ConsumerOffset):
    """No table: the menu entry and permission of the admin's page that looks an id up."""

    class Meta:
        proxy = True
        default_permissions = ["view"]
        verbose_name = _("event lookup")
        verbose_name_plural = _("event lookup")
