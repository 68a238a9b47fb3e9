"""The outbox: rows and their events are committed together."""

import pytest
from django.db import transaction

from kafka_bridge.publishing import outbox
from tests.support.sandbox import Sandbox
from tests.support.topics import relay_everything, topic_numbers

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_committed_events_are_published(sandbox: Sandbox) -> None:
    with transaction.atomic():
        outbox.add(sandbox.happened(1))
        transaction.set_rollback(True)
    with transaction.atomic():
        outbox.add(sandbox.happened(2), sandbox.happened(3))
    relay_everything()
    assert sorted(topic_numbers(sandbox)) == [2, 3]
