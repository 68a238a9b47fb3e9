import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Claim",
            fields=[
                (
                    "event_id",
                    models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name="event id"),
                ),
                ("content", models.JSONField(verbose_name="content")),
                ("created_at", models.DateTimeField(verbose_name="created")),
            ],
            options={
                "verbose_name": "claimed id",
                "verbose_name_plural": "claimed ids",
                "default_permissions": ["view"],
                "indexes": [models.Index(fields=["created_at"], name="claims_by_age")],
            },
        ),
        migrations.CreateModel(
            name="Restore",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "restored_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="restored"),
                ),
            ],
            options={
                "verbose_name": "restore",
                "verbose_name_plural": "restores",
                "default_permissions": ["view"],
            },
        ),
        migrations.CreateModel(
            name="ConsumerOffset",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("consumer", models.CharField(max_length=100, verbose_name="consumer")),
                ("topic", models.CharField(max_length=249, verbose_name="topic")),
                ("partition", models.PositiveIntegerField(verbose_name="partition")),
                ("next_offset", models.PositiveBigIntegerField(verbose_name="next offset")),
                ("topic_uuid", models.CharField(max_length=40, verbose_name="topic id")),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="updated"),
                ),
            ],
            options={
                "verbose_name": "consumer offset",
                "verbose_name_plural": "consumer offsets",
                "constraints": [
                    models.UniqueConstraint(fields=("consumer", "topic", "partition"), name="one_offset_per_partition")
                ],
            },
        ),
        migrations.CreateModel(
            name="OverviewPage",
            fields=[],
            options={
                "verbose_name": "overview",
                "verbose_name_plural": "overview",
                "proxy": True,
                "default_permissions": ["view"],
                "indexes": [],
                "constraints": [],
            },
            bases=("kafka_bridge.consumeroffset",),
        ),
        migrations.CreateModel(
            name="LookupPage",
            fields=[],
            options={
                "verbose_name": "event lookup",
                "verbose_name_plural": "event lookup",
                "proxy": True,
                "default_permissions": ["view"],
                "indexes": [],
                "constraints": [],
            },
            bases=("kafka_bridge.consumeroffset",),
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("consumer", models.CharField(max_length=100, verbose_name="consumer")),
                ("topic", models.CharField(max_length=249, verbose_name="topic")),
                ("partition", models.PositiveIntegerField(verbose_name="partition")),
                ("offset", models.PositiveBigIntegerField(verbose_name="offset")),
                (
                    "last_offset",
                    models.PositiveBigIntegerField(
                        help_text="if the row stands for messages that could not be unpacked",
                        null=True,
                        verbose_name="last offset",
                    ),
                ),
                ("topic_uuid", models.CharField(max_length=40, verbose_name="topic id")),
                ("event_type", models.CharField(blank=True, max_length=200, verbose_name="event type")),
                ("key", models.BinaryField(null=True, verbose_name="key")),
                ("headers", models.JSONField(verbose_name="headers")),
                ("value", models.BinaryField(null=True, verbose_name="value")),
                (
                    "value_bytes",
                    models.PositiveBigIntegerField(
                        help_text="in bytes, if only the beginning is kept",
                        null=True,
                        verbose_name="size of the content",
                    ),
                ),
                (
                    "message_at",
                    models.DateTimeField(
                        help_text="by the broker's clock; empty if its time cannot be true",
                        null=True,
                        verbose_name="received by Kafka",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("undecodable", "unreadable"),
                            ("unknown_type", "unknown type or version"),
                            ("schema", "does not match its schema"),
                            ("too_large", "too large"),
                            ("handler", "the consumer failed"),
                        ],
                        max_length=20,
                        verbose_name="reason",
                    ),
                ),
                ("error", models.TextField(verbose_name="error")),
                ("traceback", models.TextField(blank=True, verbose_name="traceback")),
                ("attempts", models.PositiveIntegerField(verbose_name="attempts")),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "pending"), ("replayed", "replayed"), ("discarded", "discarded")],
                        default="open",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
                ),
                (
                    "corrected_value",
                    models.BinaryField(
                        help_text="the replayed payload, if it differs from the original",
                        null=True,
                        verbose_name="corrected value",
                    ),
                ),
                ("discard_reason", models.TextField(blank=True, verbose_name="reason for discarding")),
                ("resolved_at", models.DateTimeField(null=True, verbose_name="resolved")),
                (
                    "resolved_by",
                    models.CharField(
                        blank=True,
                        help_text="the user who replayed or discarded the message",
                        max_length=150,
                        verbose_name="resolved by",
                    ),
                ),
            ],
            options={
                "verbose_name": "dead letter",
                "verbose_name_plural": "dead letters",
                "ordering": ["-created_at", "-id"],
                "permissions": [
                    ("replay_deadletter", "Can correct and replay dead letters"),
                    ("discard_deadletter", "Can discard dead letters"),
                ],
                "default_permissions": ["view"],
                "indexes": [models.Index(fields=["state", "consumer", "created_at"], name="dead_letters_by_state")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("resolved_at", None), ("state", "open")),
                            models.Q(("resolved_at__isnull", False), ("state__in", ["replayed", "discarded"])),
                            _connector="OR",
                        ),
                        name="dead_letter_resolved_once",
                    ),
                    models.UniqueConstraint(
                        fields=("consumer", "topic", "topic_uuid", "partition", "offset"),
                        name="one_dead_letter_per_message",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OutboxMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_id", models.UUIDField(verbose_name="event id")),
                ("topic", models.CharField(max_length=249, verbose_name="topic")),
                ("partition", models.PositiveIntegerField(verbose_name="partition")),
                ("key", models.BinaryField(verbose_name="key")),
                ("value", models.BinaryField(verbose_name="value")),
                ("headers", models.JSONField(verbose_name="headers")),
                ("priority", models.BooleanField(default=False, verbose_name="priority")),
                ("shard", models.PositiveSmallIntegerField(verbose_name="shard")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name="created"),
                ),
                ("refused_at", models.DateTimeField(null=True, verbose_name="refused by Kafka")),
                (
                    "refusal",
                    models.CharField(
                        blank=True, db_default="", default="", max_length=100, verbose_name="Kafka's error"
                    ),
                ),
            ],
            options={
                "verbose_name": "message to publish",
                "verbose_name_plural": "messages to publish",
                "ordering": ["id"],
                "permissions": [
                    ("resend_outboxmessage", "Can send again what Kafka refused"),
                    ("discard_outboxmessage", "Can discard what Kafka refused"),
                ],
                "default_permissions": ["view"],
                "indexes": [
                    models.Index(fields=["shard", "-priority", "id"], name="outbox_by_shard"),
                    models.Index(fields=["created_at"], name="outbox_by_age"),
                ],
            },
        ),
    ]
