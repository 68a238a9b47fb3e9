"""Fixtures of the tests of dead letters."""

import pytest
from django.test import Client
from django.utils import timezone

from kafka_bridge.consuming.handlers import consumers
from kafka_bridge.events.codec import encode
from kafka_bridge.models import DeadLetter
from tests.support.letters import MakeLetter, client_with
from tests.support.sandbox import Sandbox


@pytest.fixture
def consumed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Return the sandbox, with its consumer registered by name."""
    monkeypatch.setitem(consumers, sandbox.consumer.name, sandbox.consumer)
    return sandbox


@pytest.fixture
def make_letter(consumed: Sandbox) -> MakeLetter:
    """Return a function that makes dead letters of the sandbox's consumer, of a valid event."""
    offset = 0

    def make(value: bytes | None = None, **fields: object) -> DeadLetter:
        nonlocal offset
        offset += 1
        message = encode(consumed.happened(offset, "key"))
        headers = [[name, text.decode()] for name, text in message.headers]
        return DeadLetter.objects.create(
            **{
                "consumer": consumed.consumer.name,
                "topic": consumed.topic.name,
                "partition": 0,
                "offset": offset,
                "event_type": consumed.event.type,
                "key": message.key,
                "headers": headers,
                "value": message.value if value is None else value,
                "message_at": timezone.now(),
                "reason": DeadLetter.Reason.HANDLER,
                "error": "ValueError: no",
                "attempts": 2,
                **fields,
            }
        )

    return make


@pytest.fixture
def staff(consumed: Sandbox) -> Client:
    """Return a client who may view, replay and discard."""
    return client_with("view_deadletter", "replay_deadletter", "discard_deadletter")
