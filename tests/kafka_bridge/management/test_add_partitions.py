"""`manage.py add_partitions`: more partitions while everything runs, and never fewer."""

import os
import subprocess
import sys
from collections.abc import Callable
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import topic_admin
from kafka_bridge.events.topics import PRIORITY_PARTITION, Topic
from kafka_bridge.publishing import relay
from tests.support.consumers import running
from tests.support.sandbox import SECONDS, Sandbox

# How soon a running consumer must find new partitions.
FOUND_SECONDS = 30.0


def declare(sandbox: Sandbox, partitions: int) -> None:
    """Declare another number of partitions, as a restarted process would find it."""
    object.__setattr__(sandbox.topic, "partitions", partitions)


def add(*arguments: str) -> str:
    out = StringIO()
    call_command("add_partitions", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.usefixtures("table")
def test_partitions_grow_while_a_consumer_runs(make_sandbox: Callable[..., Sandbox]) -> None:
    """The relay delivers what this process accepts before it knows of the new partitions."""
    sandbox = make_sandbox(partitions=2, lane="paid")
    name = sandbox.topic.name
    with running(relay.run), sandbox.running(sandbox.runner(), sandbox.runner(lane="paid")):
        sandbox.publish(*range(20))
        wait_until(lambda: len(sandbox.rows()) == 20, SECONDS)
        declare(sandbox, 6)
        assert add(name, "--dry-run") == f"{name}: would be raised from 2 to 6 partitions\n"
        assert add(name) == f"{name}: raised from 2 to 6 partitions\n"
        assert add(name) == f"{name}: has 6 partitions already\n"
        sandbox.publish(*range(20, 60))
        wait_until(lambda: len(sandbox.rows()) == 60, FOUND_SECONDS)
    assert sorted(sandbox.rows()) == list(range(60))
    offsets = sandbox.offsets()
    assert offsets[PRIORITY_PARTITION] == 0  # no key was hashed into it
    assert len([number for number, end in offsets.items() if end]) == 5


def test_a_topic_is_not_shrunk(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(partitions=3)
    declare(sandbox, 2)
    with pytest.raises(CommandError, match=r"cannot take partitions away: .* has 3 and gets 2\. .*Nothing was changed"):
        add(sandbox.topic.name)
    assert topic_admin.partition_counts([sandbox.topic]) == {sandbox.topic.name: 3}


def test_other_names_are_refused(kafka: str) -> None:
    with pytest.raises(CommandError, match="No such topic: unheard-of"):
        add("unheard-of")


def test_create_topics_tells_of_missing_partitions(make_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = make_sandbox(partitions=4, on_brokers=2)
    errors = StringIO()
    call_command("create_topics", stdout=StringIO(), stderr=errors)
    assert f"{sandbox.topic.name} has 2 partitions, 4 are declared: run manage.py add_partitions." in errors.getvalue()


def settings_with(partitions: str) -> "subprocess.CompletedProcess[str]":
    code = "import django; django.setup(); from ventas.events import VENTAS; print(VENTAS.partitions)"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "mamochi_site.settings", "KAFKA_PARTITIONS": partitions}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(("given", "found"), [("", "6"), (" mamochi.ventas = 12, mamochi.stock=6", "12")])
def test_the_environment_sets_the_number(given: str, found: str) -> None:
    assert settings_with(given).stdout.strip() == found


@pytest.mark.slow
@pytest.mark.parametrize("given", ["mamochi.ventas", "mamochi.ventas=0", "mamochi.ventas=doce"])
def test_a_bad_number_is_named(given: str) -> None:
    assert (
        f"KAFKA_PARTITIONS must look like mamochi.ventas=12,mamochi.stock=6: '{given}'" in settings_with(given).stderr
    )


def test_a_lane_needs_a_second_partition() -> None:
    with pytest.raises(ValueError, match="needs a partition besides 0"):
        Topic(name="t", partitions=1, priority_lane="paid")
