"""What the engine itself stores: how far each consumer has come, what waits to be published, what could not be handled."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class ConsumerOffset(models.Model):
    """The next offset of a partition that a consumer will apply, written in the transaction that holds its rows.

    `topic_uuid` is the broker's id of the topic: a topic that was deleted and made anew has another.
    """

    consumer = models.CharField("consumidor", max_length=100)
    topic = models.CharField("tópico", max_length=249)
    partition = models.PositiveIntegerField("partición")
    next_offset = models.PositiveBigIntegerField("próximo offset")
    topic_uuid = models.CharField("id del tópico", max_length=40)
    updated_at = models.DateTimeField("actualizado", db_default=Now())

    class Meta:
        verbose_name = "offset de consumidor"
        verbose_name_plural = "offsets de consumidores"
        constraints = [
            models.UniqueConstraint(fields=["consumer", "topic", "partition"], name="one_offset_a_partition")
        ]

    def __str__(self) -> str:
        return f"{self.consumer}: {self.topic}[{self.partition}] @ {self.next_offset}"


class OutboxMessage(models.Model):
    """A message accepted and not yet acknowledged by Kafka. The relay deletes the row once it is.

    `shard` is what a relay locks, so that messages of one key leave in order (see relay.py).
    """

    event_id = models.UUIDField("id del evento")
    topic = models.CharField("tópico", max_length=249)
    partition = models.PositiveIntegerField("partición")
    key = models.BinaryField("clave")
    value = models.BinaryField("valor")
    headers = models.JSONField("cabeceras")
    priority = models.BooleanField("prioritario", default=False)
    shard = models.PositiveSmallIntegerField("fragmento")
    created_at = models.DateTimeField("creado", db_default=Now())

    class Meta:
        verbose_name = "mensaje por publicar"
        verbose_name_plural = "mensajes por publicar"
        ordering = ["id"]
        indexes = [
            models.Index(fields=["shard", "-priority", "id"], name="outbox_by_shard"),
            models.Index(fields=["created_at"], name="outbox_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} → {self.topic}[{self.partition}]"


class DeadLetter(models.Model):
    """A message that a consumer could not apply, kept whole, with the reason. `error` never holds personal data."""

    class Reason(models.TextChoices):
        UNDECODABLE = "undecodable", "ilegible"
        UNKNOWN_TYPE = "unknown_type", "tipo o versión desconocidos"
        SCHEMA = "schema", "no cumple su esquema"
        HANDLER = "handler", "el consumidor falló"

    class State(models.TextChoices):
        OPEN = "open", "pendiente"
        REPLAYED = "replayed", "reenviado"
        DISCARDED = "discarded", "descartado"

    consumer = models.CharField("consumidor", max_length=100)
    topic = models.CharField("tópico", max_length=249)
    partition = models.PositiveIntegerField("partición")
    offset = models.PositiveBigIntegerField("offset")
    topic_uuid = models.CharField("id del tópico", max_length=40)
    event_type = models.CharField("tipo de evento", max_length=200, blank=True)
    key = models.BinaryField("clave", null=True)
    headers = models.JSONField("cabeceras")
    value = models.BinaryField("valor", null=True)
    message_at = models.DateTimeField("recibido por Kafka", help_text="hora del broker")
    reason = models.CharField("motivo", max_length=20, choices=Reason.choices)
    error = models.TextField("error")
    traceback = models.TextField("traza", blank=True)
    attempts = models.PositiveIntegerField("intentos")
    state = models.CharField("estado", max_length=10, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField("creado", db_default=Now())
    corrected_value = models.BinaryField(
        "valor corregido", null=True, help_text="lo que se reenvió, si no fue lo mismo"
    )
    discard_reason = models.TextField("motivo del descarte", blank=True)
    resolved_at = models.DateTimeField("resuelto", null=True)
    resolved_by = models.CharField("resuelto por", max_length=150, blank=True, help_text="quien lo reenvió o descartó")

    class Meta:
        verbose_name = "mensaje no procesado"
        verbose_name_plural = "mensajes no procesados"
        ordering = ["-created_at", "-id"]
        default_permissions = ["view"]  # nobody writes one by hand; what may be done to it is below
        permissions = [
            ("replay_deadletter", "Puede corregir y reenviar mensajes no procesados"),
            ("discard_deadletter", "Puede descartar mensajes no procesados"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state="open", resolved_at=None)
                | models.Q(state__in=["replayed", "discarded"], resolved_at__isnull=False),
                name="dead_letter_resolved_once",
            ),
            models.UniqueConstraint(
                fields=["consumer", "topic", "topic_uuid", "partition", "offset"], name="one_dead_letter_a_message"
            ),
        ]
        indexes = [models.Index(fields=["state", "consumer", "created_at"], name="dead_letters_by_state")]

    def __str__(self) -> str:
        return f"{self.consumer}: {self.topic}[{self.partition}] @ {self.offset} ({self.get_reason_display()})"


class Restore(models.Model):
    """When a backup was brought back: events accepted before that are history, replayed (replay.py)."""

    restored_at = models.DateTimeField("restaurado", db_default=Now())

    class Meta:
        verbose_name = "restauración"
        verbose_name_plural = "restauraciones"
        default_permissions = ["view"]

    def __str__(self) -> str:
        return f"{self.restored_at:%Y-%m-%d %H:%M}"


class OverviewPage(ConsumerOffset):
    """The admin page of the overview. A model without a table, for its menu entry and permission."""

    class Meta:
        proxy = True
        default_permissions = ["view"]
        verbose_name = _("overview")
        verbose_name_plural = _("overview")


class LookupPage(ConsumerOffset):
    """The admin page of lookups. A model without a table, for its menu entry and permission."""

    class Meta:
        proxy = True
        default_permissions = ["view"]
        verbose_name = _("event lookup")
        verbose_name_plural = _("event lookup")
