"""The admin of offsets and of the outbox."""

from django.test import Client
from django.urls import reverse

from kafka_bridge.models import ConsumerOffset, OutboxMessage
from kafka_bridge.publishing import outbox
from tests.support.letters import PERSONAL
from tests.support.sandbox import Sandbox


def test_offsets_and_outbox_are_read_only(admin_client: Client, sandbox: Sandbox) -> None:
    outbox.add(sandbox.happened(1, PERSONAL))
    ConsumerOffset.objects.create(consumer="c", topic="t", partition=0, next_offset=5, topic_uuid="u")
    for model in (OutboxMessage, ConsumerOffset):
        row = model.objects.get()
        name = model._meta.model_name
        assert admin_client.get(reverse(f"admin:kafka_bridge_{name}_changelist")).status_code == 200
        shown = admin_client.get(reverse(f"admin:kafka_bridge_{name}_change", args=[row.pk]))
        assert shown.status_code == 200
        assert PERSONAL not in shown.content.decode()
        assert admin_client.get(reverse(f"admin:kafka_bridge_{name}_add")).status_code == 403
