"""What is wrong with the system, in words, and what to do about it."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from confluent_kafka import KafkaError
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from kafka_bridge.brokers import trouble
from kafka_bridge.brokers.cluster_state import ClusterState, TopicState
from kafka_bridge.monitoring.due_work import DueWork
from kafka_bridge.monitoring.durations import duration
from kafka_bridge.monitoring.system_state import GroupState, Outbox, Refused
from kafka_bridge.publishing import refusals

SLOW_SECONDS: Final = 60.0  # a message that waits for longer is a problem
MANY_MESSAGES: Final = 1_000  # a larger lag is a problem if the wait is unknown
TOO_LARGE: Final = frozenset(KafkaError(code).name() for code in refusals.SIZE)
ALL_WELL: Final = _("Consumers are up to date, and no message or other work waits for longer than it should.")


class Problem(msgspec.Struct, frozen=True):
    """A problem and what to do about it, in the language of the thread that looked.

    `grave`: requests are not served, or soon will not be.
    """

    summary: str
    advice: str
    grave: bool


def find(
    cluster: ClusterState | None, outbox: Outbox, groups: list[GroupState], due: Iterable[DueWork]
) -> list[Problem]:
    """Return the problems, grave ones first. `cluster` is None if Kafka does not answer."""
    problems = [
        *of_kafka(cluster),
        *of_outbox(outbox, kafka_answers=cluster is not None),
        *of_refused(outbox.refused),
        *of_groups(groups),
        *of_due_work(due),
        *of_dead_letters(groups),
    ]
    return sorted(problems, key=lambda problem: not problem.grave)


def of_kafka(cluster: ClusterState | None) -> Iterator[Problem]:
    """Report problems of brokers, topics and partitions."""
    if cluster is None:
        yield Problem(
            gettext("Kafka does not answer."),
            gettext(
                "New messages are stored in the database and leave by themselves when Kafka returns; until then they "
                "are not processed. Check that the brokers run and that the network reaches them."
            )
            + _observed_trouble(),
            grave=True,
        )
        return
    if cluster.unanswered:
        questions = gettext("; nor ").join(cluster.unanswered)
        yield Problem(
            gettext("Kafka answers only in part: it did not say %(questions)s.") % {"questions": questions},
            gettext(
                "Values shown as “?” are unknown. If this lasts for more than a minute, a broker is frozen or "
                "overloaded: check the brokers."
            ),
            grave=True,
        )
    for topic in cluster.topics:
        yield from _of_topic(topic)


def _observed_trouble() -> str:
    """Return what this process's client reports of its connections; empty if it reports nothing."""
    why = trouble.sentence()
    return " " + gettext("The client of this process reports: %(why)s.") % {"why": why} if why else ""


def _of_topic(topic: TopicState) -> Iterator[Problem]:
    if topic.missing:
        yield Problem(
            gettext("Topic %(topic)s is missing.") % {"topic": topic.name},
            gettext("Run manage.py create_topics."),
            grave=True,
        )
    if topic.no_rights:
        yield Problem(
            gettext("Kafka gives this process no rights to topic %(topic)s.") % {"topic": topic.name},
            gettext(
                "The topic may exist or not. An administrator of Kafka grants each process what it needs with "
                "manage.py kafka_rights --apply; without --apply the command prints the table."
            ),
            grave=True,
        )
    yield from _of_numbers(topic)
    yield from _of_partitions(topic)


def _of_numbers(topic: TopicState) -> Iterator[Problem]:
    """Compare the number of partitions with the declared one."""
    numbers = {"topic": topic.name, "found": len(topic.partitions), "declared": topic.declared}
    if 0 < len(topic.partitions) < topic.declared:
        yield Problem(
            gettext("%(topic)s has %(found)d partitions, %(declared)d are declared.") % numbers,
            gettext("Messages for the missing partitions wait in the outbox. Run manage.py add_partitions."),
            grave=True,
        )
    if len(topic.partitions) > topic.declared > 0:
        yield Problem(
            gettext("%(topic)s has %(found)d partitions, %(declared)d are declared.") % numbers,
            gettext(
                "Nothing is lost, but the other partitions get no messages. Set KAFKA_BRIDGE['PARTITIONS'] to the "
                "number found and restart the processes; Kafka cannot take partitions away."
            ),
            grave=False,
        )


def _of_partitions(topic: TopicState) -> Iterator[Problem]:
    leaderless = [one.number for one in topic.partitions if one.leader < 0]
    thin = [one.number for one in topic.partitions if one.leader >= 0 and one.in_sync < one.replicas]
    if leaderless:
        yield Problem(
            gettext("%(topic)s has no leader in %(partitions)s, which can be neither written nor read.")
            % {"topic": topic.name, "partitions": _partitions(leaderless)},
            gettext("Start the missing broker: no running broker has a complete copy."),
            grave=True,
        )
    if thin:
        yield Problem(
            gettext("%(topic)s has fewer replicas than configured in %(partitions)s.")
            % {"topic": topic.name, "partitions": _partitions(thin)},
            gettext("Nothing is lost. Start the broker that is down; the replicas catch up by themselves."),
            grave=False,
        )


def _partitions(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return gettext("partition %(number)d") % {"number": numbers[0]}
    return gettext("%(count)d partitions") % {"count": len(numbers)}


def of_outbox(outbox: Outbox, *, kafka_answers: bool) -> Iterator[Problem]:
    """Report an outbox that is not emptied although Kafka answers."""
    if kafka_answers and outbox.messages and outbox.oldest_s > SLOW_SECONDS:
        yield Problem(
            gettext("Messages in the outbox: %(count)d; the oldest has waited for %(duration)s.")
            % {"count": outbox.messages, "duration": duration(outbox.oldest_s)},
            _advice_on_outbox(outbox),
            grave=True,
        )


def of_refused(refused: Iterable[Refused]) -> Iterator[Problem]:
    """Report messages that Kafka refused for good, one problem per topic and error."""
    for one in refused:
        summary = ngettext(
            "Kafka refuses %(count)d accepted message of %(topic)s for good (%(error)s).",
            "Kafka refuses %(count)d accepted messages of %(topic)s for good (%(error)s).",
            one.messages,
        )
        yield Problem(
            summary % {"count": one.messages, "topic": one.topic, "error": one.error},
            _advice_on_refusal(one.error),
            grave=False,
        )


def _advice_on_refusal(error: str) -> str:
    """Return what mends the refusal, as far as Kafka's error tells."""
    if error in TOO_LARGE:
        cause = gettext("They are larger than the topic's max.message.bytes. Raise that limit.")
    else:
        cause = gettext("This error is about what a message holds; the brokers' logs may say more. Mend the cause.")
    remedy = gettext(
        "Then choose “Send again what Kafka refused” under “messages to publish” in the admin, or discard them there. "
        "Messages behind them are not held up."
    )
    return f"{cause} {remedy}"


def _advice_on_outbox(outbox: Outbox) -> str:
    """Name the partitions that do not exist; else say what the database cannot tell."""
    if outbox.missing:
        return gettext(
            "Of these, %(count)d are for partitions that Kafka does not have: %(places)s. Run manage.py "
            "add_partitions, or create_topics if the topic is missing."
        ) % {"count": sum(outbox.missing.values()), "places": ", ".join(outbox.missing)}
    return gettext(
        "Kafka answers. Check that manage.py run_outbox_relay runs, which is not visible here. If it runs, its log "
        "says what Kafka does not accept."
    )


def of_groups(groups: list[GroupState]) -> Iterator[Problem]:
    """Report consumers that are stopped, paused or late; at most one problem per group."""
    for group in groups:
        if group.members == 0:
            yield Problem(
                gettext("No process runs “%(group)s”.") % {"group": group.group} + _messages_left(group),
                gettext("Start manage.py run_consumer %(consumer)s. If it stopped by itself, its log says why.")
                % {"consumer": group.consumer},
                grave=True,
            )
        elif group.paused:
            yield Problem(
                gettext("“%(group)s” is paused: it has processes and has applied nothing for %(duration)s.")
                % {"group": group.group, "duration": duration(group.still_s)}
                + _messages_left(group),
                _observed_cause(group)
                or gettext(
                    "The reason is not visible here: its log and its /health/ready say what it waits for. If it "
                    "waits for a server, it continues by itself. A restart loses nothing."
                ),
                grave=True,
            )
        elif _is_late(group):
            yield Problem(
                gettext("“%(group)s” is late: the oldest message has waited %(wait)s.")
                % {"group": group.group, "wait": _wait(group)}
                + _messages_left(group),
                _observed_cause(group)
                or gettext(
                    "If the lag decreases, wait. If it grows, start another process of the same kind; if it does not "
                    "change, read its log."
                ),
                grave=True,
            )


def _observed_cause(group: GroupState) -> str:
    """Return what was observed to hold the group up, with advice; empty if nothing was."""
    if group.open_transactions:
        return gettext(
            "Another program has an open transaction in %(places)s, and Kafka delivers no message behind it. The "
            "consumer itself is well and continues when that program or its timeout ends the transaction. If it "
            "stays open, find and end it with kafka-transactions.sh (describe-producers, abort)."
        ) % {"places": ", ".join(group.open_transactions)}
    if group.recreated:
        return gettext(
            "%(topics)s was deleted and created again, and the consumer has not begun to read it. It does so by "
            "itself within a minute; if it does not, its log says why. A restart loses nothing."
        ) % {"topics": ", ".join(group.recreated)}
    return ""


def _messages_left(group: GroupState) -> str:
    if not group.lag:
        return ""
    return " " + gettext("Messages to apply: %(count)d.") % {"count": group.lag}


def _wait(group: GroupState) -> str:
    if group.waiting_s is None:
        return gettext("for an unknown time")
    return gettext("for %(duration)s") % {"duration": duration(group.waiting_s)}


def _is_late(group: GroupState) -> bool:
    if group.waiting_s is None:
        return (group.lag or 0) > MANY_MESSAGES
    return group.waiting_s > SLOW_SECONDS


def of_due_work(due: Iterable[DueWork]) -> Iterator[Problem]:
    """Report work that is late, and items that were given up."""
    for one in due:
        if one.overdue_s > one.tolerance_s:
            yield Problem(
                gettext("%(late)s %(duration)s ago.") % {"late": one.late, "duration": duration(one.overdue_s)},
                one.late_advice,
                grave=True,
            )
        if one.failed:
            yield Problem(f"{one.failed} {one.failure}.", one.failure_advice, grave=False)


def of_dead_letters(groups: list[GroupState]) -> Iterator[Problem]:
    """Report open dead letters. A consumer's lanes share them, so only its main lane counts."""
    for group in groups:
        if group.open_dead_letters and not group.lane:
            yield Problem(
                gettext("Dead letters of “%(consumer)s”: %(count)d.")
                % {"consumer": group.consumer, "count": group.open_dead_letters},
                gettext("See “dead letters” in the admin: correct and replay them, or discard them with a reason."),
                grave=False,
            )
