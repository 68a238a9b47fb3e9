"""Fixtures that all tests share; the plugin `tests.stack` starts the servers."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from deploy.embedded import Stack

if TYPE_CHECKING:
    from pytest_django.plugin import DjangoDbBlocker

    from tests.support.log_lines import Lines


@pytest.fixture(scope="session")
def django_db_modify_db_settings(stack: Stack) -> None:
    """Start the servers before pytest-django creates the test database."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: "DjangoDbBlocker") -> Iterator[None]:
    """Create the test database, whose first rows are restored after each test that commits."""
    from tests.support.database import restore_after_each_test

    with pytest.MonkeyPatch.context() as patch:
        with django_db_blocker.unblock():
            restore_after_each_test(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def fast_passwords() -> Iterator[None]:
    """Hash passwords with MD5: the product's hasher takes 0.3 s per user, on purpose."""
    from django.test import override_settings

    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def test_timing() -> Iterator[None]:
    """Raise the publish deadline to 30 s and shorten the consumers' poll to 50 ms.

    On a busy machine an acknowledgement may take long; in production the event would wait in the
    outbox. Hundreds of tests wait for one poll without a message, to start or to stop a consumer.
    """
    from kafka_bridge.consuming import intake
    from kafka_bridge.publishing import producer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(producer, "DEADLINE_MS", 30_000)
        patch.setattr(intake, "POLL_SECONDS", 0.05)
        yield


@pytest.fixture
def from_the_topics_ends(kafka: str, transactional_db: None) -> None:
    """Let all consumers start after the messages that other tests have left in the topics.

    Among those are runs of poison messages, which would stop a consumer.
    """
    from kafka_bridge.brokers import topic_admin, watermarks
    from kafka_bridge.consuming.handlers import consumers
    from kafka_bridge.models import ConsumerOffset

    topic_admin.create_topics(topic_admin.declared_topics())
    uuids = topic_admin.topic_uuids([topic.name for topic in topic_admin.declared_topics()])
    ends = watermarks.end_offsets([at for name in uuids for at in topic_admin.partitions_of(name)])
    ConsumerOffset.objects.bulk_create(
        ConsumerOffset(consumer=name, topic=at[0], partition=at[1], next_offset=end, topic_uuid=uuids[at[0]])
        for name, consumer in consumers.items()
        for at, end in ends.items()
        if at[0] in {topic.name for topic in consumer.topics}
    )


@pytest.fixture
def lines() -> Iterator["Lines"]:
    """Return the log lines of the test, as production would write them; the list grows."""
    from tests.support.log_lines import LineKeeper

    keeper = LineKeeper()
    logging.getLogger().addHandler(keeper)
    yield keeper.lines
    logging.getLogger().removeHandler(keeper)
