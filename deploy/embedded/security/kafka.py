"""Kafka with TLS, logins and rights: its listeners, and the users of the stack's processes.

Programs log in with a name and a password (SCRAM-SHA-512) on one listener, or with a certificate on
another, which the brokers use among themselves. Who has no rule has no right; rules are the
product's (`manage.py kafka_rights`). The administrator has a certificate and every right.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from deploy.embedded.security.authority import Authority, Identity

ADMIN: Final = "admin"
BROKER: Final = "broker"
CLIENTS: Final = "kafka-clients"
MECHANISM: Final = "SCRAM-SHA-512"
ITERATIONS: Final = 4_096  # the fewest that Kafka takes: a password of the stack cannot be guessed


class KafkaSecurity:
    """What makes a cluster secure. `secret`: passwords of users are derived from it."""

    def __init__(self, authority: Authority, secret: str, hosts: Sequence[str]) -> None:
        self.authority = authority
        self.secret = secret
        self.hosts = sorted(set(hosts))
        self.broker = authority.issue(BROKER, hosts=self.hosts)
        # Of the clients' listener alone: a broker does not start if the certificate that it shows
        # other brokers has expired.
        self.clients = authority.issue(CLIENTS, hosts=self.hosts)
        self.admin = self.certificate_variables(authority.issue(ADMIN))

    def settings(self, clients: str, certificates: str, controller: str) -> dict[str, Any]:
        """Return the part of server.properties; the arguments are host:port of three listeners."""
        return {
            "listeners": f"CLIENTS://{clients},CERTIFICATES://{certificates},CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENTS://{clients},CERTIFICATES://{certificates}",
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,CERTIFICATES:SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": "CERTIFICATES",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.broker.both,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.certificate,
            "listener.name.clients.ssl.keystore.location": self.clients.both,
            "listener.name.certificates.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
            # A certificate's user is its common name, and not the whole name.
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "sasl.enabled.mechanisms": MECHANISM,
            "listener.name.clients.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{BROKER};User:{ADMIN}",
        }

    def renew(self, ends: datetime | None = None) -> Identity:
        """Give clients another certificate, which a broker reads when it starts or is told to."""
        return self.authority.issue(CLIENTS, hosts=self.hosts, ends=ends)

    def client_variables(self) -> dict[str, str]:
        """Return the environment of all programs that log in with a password, without the login."""
        return {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": MECHANISM,
            "KAFKA_SSL_CA_LOCATION": str(self.authority.certificate),
        }

    def password_variables(self, user: str) -> dict[str, str]:
        """Return the login of a user as environment variables."""
        return {"KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": self.password_of(user)}

    def certificate_variables(self, identity: Identity) -> dict[str, str]:
        """Return the environment of a program that has a certificate instead of a password."""
        return {
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA_LOCATION": str(self.authority.certificate),
            "KAFKA_SSL_CERTIFICATE_LOCATION": str(identity.certificate),
            "KAFKA_SSL_KEY_LOCATION": str(identity.key),
        }

    def admin_config(self) -> dict[str, str]:
        """Return the administrator's configuration of a client, without the servers."""
        return {
            "security.protocol": "ssl",
            "ssl.ca.location": self.admin["KAFKA_SSL_CA_LOCATION"],
            "ssl.certificate.location": self.admin["KAFKA_SSL_CERTIFICATE_LOCATION"],
            "ssl.key.location": self.admin["KAFKA_SSL_KEY_LOCATION"],
        }

    def password_of(self, user: str) -> str:
        """Return the user's password."""
        return hmac.new(self.secret.encode(), user.encode(), hashlib.sha256).hexdigest()


def set_passwords(admin: AdminClient, passwords: dict[str, str]) -> None:
    """Create these users, or give them these passwords. Raises KafkaException."""
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wanted: list[Any] = [
        UserScramCredentialUpsertion(user, how, password.encode()) for user, password in passwords.items()
    ]
    for future in admin.alter_user_scram_credentials(wanted).values():
        future.result()
