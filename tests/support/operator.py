"""What an operator of the secured system does and sees."""

import socket
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from io import StringIO
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from django.core.management import call_command
from django.test import override_settings

from deploy.embedded.security.front import WithTls
from deploy.embedded.security.kafka import KafkaSecurity, set_passwords
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client
from mamochi_site.local.system import CHECKOUT, System, manage
from tests.support.prometheus import get
from tests.support.system import SECONDS, Client, query

WAITING = "SELECT count(*) FROM kafka_bridge_outboxmessage"
LETTERS = "SELECT consumer, error FROM kafka_bridge_deadletter"
COUNTED = "SELECT count(*), count(DISTINCT venta_id) FROM ventas_venta WHERE venta_id = ANY(%s::uuid[])"
ANY: Any = None  # the stubs want a text


@dataclass(frozen=True)
class Operator:
    """Holds the administrator's certificate."""

    system: System

    @property
    def security(self) -> KafkaSecurity:
        security = self.system.stack.kafka.security
        assert security is not None
        return security

    @property
    def port(self) -> int:
        """Return the port of the web."""
        return int(self.system.url.rsplit(":", 1)[1])

    @property
    def admin(self) -> Any:
        return AdminClient({**self.system.stack.kafka.brokers[0].admin_config, "log_level": 0})

    def run(self, *command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = self.system.environment | variables
        return subprocess.run(
            manage(*command), cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True, timeout=120
        )

    def grant(self) -> str:
        """Add all missing rights, as docs/security.md says, and return what the command printed."""
        out = StringIO()
        with override_settings(KAFKA_CLIENT_CONFIG=dict(self.system.stack.kafka.brokers[0].admin_config)):
            client.forget_clients()
            call_command("kafka_rights", apply=True, stdout=out, stderr=out)
        client.forget_clients()
        return out.getvalue()

    def revoke(self, user: str, kind: ResourceType = ResourceType.ANY, name: str = ANY) -> None:
        """Take a user's rights away: all, or those on one topic or group."""
        theirs = AclBindingFilter(
            kind, name, ResourcePatternType.ANY, f"User:{user}", ANY, AclOperation.ANY, AclPermissionType.ANY
        )
        admin = self.admin
        [future] = admin.delete_acls([theirs]).values()
        assert future.result()
        wait_until(lambda: not admin.describe_acls(theirs).result(), SECONDS)

    def set_password(self, user: str, password: str) -> None:
        set_passwords(self.admin, {user: password})

    def install_server_certificate(self, ends: datetime | None = None) -> None:
        """Give clients another certificate of the broker while it runs; wait until they get it."""
        issued = ssl.PEM_cert_to_DER_cert(self.security.renew(ends=ends).certificate.read_text())
        path = str(self.security.clients.both)
        entry = ConfigEntry(
            "listener.name.clients.ssl.keystore.location", path, incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ConfigResource.Type.BROKER, "1", incremental_configs=[entry])
        admin = self.admin  # a client that nothing holds gives up its questions
        admin.incremental_alter_configs([resource])[resource].result()
        wait_until(lambda: self._served_certificate() == issued, SECONDS)

    def renew_front(self, variable: str, ends: datetime | None = None) -> None:
        """Give the server that this variable names another certificate; its connections end."""
        [front] = [part for part in self.system.stack.all_parts if part.variable == variable]
        assert isinstance(front, WithTls)
        front.renew(ends)

    def _served_certificate(self) -> bytes | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        broker = self.system.stack.kafka.brokers[0]
        plain = socket.create_connection((broker.host.address, broker.port), SECONDS)
        with context.wrap_socket(plain) as encrypted:
            return encrypted.getpeercert(binary_form=True)

    def client_config(self, user: str) -> dict[str, str]:
        """Return the configuration of a client that is this user."""
        return {
            "bootstrap.servers": self.system.stack.kafka.url,
            "security.protocol": "sasl_ssl",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": self.security.password_of(user),
            "ssl.ca.location": str(self.security.authority.certificate),
        }

    def write_as(self, user: str, topic: str) -> str:
        """Try to write to a topic; return the name of Kafka's error."""
        errors: list[str] = []
        producer = Producer({**self.client_config(user), "log_level": 0, "delivery.timeout.ms": 20_000})
        producer.produce(topic, b"{}", on_delivery=lambda error, _: errors.append(error.name() if error else ""))
        producer.flush(30)
        return errors[0]

    def restart(self, process: str, variables: Mapping[str, str] | None = None) -> None:
        """Restart a process, with these variables in its environment from now on."""
        found = self.system.stack.processes[process]
        found.env = {**found.env, **(variables or {})}
        self.system.stack.restart(process)

    def readiness(self, process: str) -> tuple[int, str]:
        """Return the status and the text of a process's /health/ready; 0 while it starts."""
        try:
            return get(self.system.stack.extra["metrics"][process].replace("/metrics", "/health/ready"))
        except OSError:
            return 0, ""

    def says(self, process: str, *texts: str) -> bool:
        """Return whether a process is not ready and names all of these as the reason."""
        status, body = self.readiness(process)
        return status == 503 and all(text in body for text in texts)

    def wait_until_says(self, process: str, *texts: str) -> None:
        what = partial(self._not_said, process, texts)
        try:
            wait_until(lambda: self.says(process, *texts), SECONDS)
        except TimeoutError:
            raise AssertionError(what()) from None

    def _not_said(self, process: str, texts: tuple[str, ...]) -> str:
        return f"{process} does not say {texts}, but {self.readiness(process)}"

    def wait_until_ready(self, process: str) -> None:
        wait_until(lambda: self.readiness(process)[0] == 200, SECONDS, what=f"{process}: {self.readiness(process)}")

    def wait_until_counted(self, maestro: Client) -> None:
        """Wait until each accepted sale has one row; no message is accused of anything."""
        expected = [(len(maestro.sent), len(maestro.sent))]
        wait_until(lambda: query(self.system, COUNTED, maestro.sent) == expected, SECONDS)
        assert query(self.system, LETTERS) == []

    def log(self, process: str) -> str:
        return (self.system.logs / f"{process}.log").read_text(errors="replace")
