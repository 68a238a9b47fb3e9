"""What a run adds to deploy/compose: settings, secrets, published ports and a mail server."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from deploy.containers.docker import Docker
from deploy.containers.images import CHECKOUT
from deploy.embedded import StackError
from deploy.embedded.ports import HOST, free_port

FOLDER = CHECKOUT / "deploy" / "compose"
COMPOSE_FILE = FOLDER / "compose.yaml"
UNPROBED = ("prepare", "manage", "prometheus", "grafana")
BROKERS = ("kafka-1", "kafka-2", "kafka-3")
MAIL_URL = "smtp://mail:1025"
# The listener that the audit uses from outside; its port in the containers.
AUDIT_LISTENER, AUDIT_PORT = "AUDIT", 19092


def patience(service: str) -> dict[str, object]:
    """Return how long a failed probe is no failure: a busy machine with two cores starts slowly."""
    return {} if service in UNPROBED else {"healthcheck": {"start_period": "400s"}}


@dataclass
class Files:
    """The files of one run in `folder`; production has an `.env` and secrets instead."""

    folder: Path
    project: str
    web_port: int
    image: str
    monitoring: bool = False
    broker_ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in BROKERS})
    postgres_port: int = field(default_factory=free_port)
    prometheus_port: int = field(default_factory=free_port)
    grafana_port: int = field(default_factory=free_port)

    @property
    def secrets(self) -> Path:
        """Return the folder of the secrets."""
        return self.folder / "secrets"

    @property
    def mailbox(self) -> Path:
        """Return the folder in which e-mails arrive."""
        return self.folder / "mailbox"

    @property
    def override(self) -> Path:
        """Return the second compose file."""
        return self.folder / "override.json"

    @property
    def shell(self) -> Path:
        """Return the file that `write_shell` writes."""
        return self.folder / "environment.sh"

    @property
    def settings(self) -> Path:
        """Return the file that takes the place of `.env`."""
        return self.folder / "settings.env"

    def environment(self) -> dict[str, str]:
        """Return the variables with which a plain `docker compose` means this run.

        Optional profiles are not among them.
        """
        return {
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": f"{COMPOSE_FILE}{os.pathsep}{self.override}",
            "COMPOSE_ENV_FILES": str(self.settings),
        }

    def write_shell(self, docker: Docker) -> Path:
        """Write a file for a shell: after `. FILE`, a plain `docker compose ...` means this run."""
        shim = self.folder / "bin" / "docker"
        shim.parent.mkdir(exist_ok=True)
        compose = " ".join(shlex.quote(word) for word in docker.compose)
        shim.write_text(
            f'#!/bin/sh\n[ "$1" != compose ] || {{ shift; exec {compose} "$@"; }}\n'
            f'exec {shlex.quote(docker.program)} "$@"\n'
        )
        shim.chmod(0o755)
        engine = {name: text for name, text in docker.environment.items() if name.startswith("DOCKER_") and text}
        settings = {**self.environment(), **engine}
        exports = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in settings.items())
        self.shell.write_text(f"{exports}export PATH={shlex.quote(str(shim.parent))}:$PATH\n")
        return self.shell

    def secret(self, name: str) -> str:
        """Return the text of a secret."""
        return (self.secrets / name).read_text()

    def write(self, standins: dict[str, str], images: dict[str, str], mail_image: str) -> None:
        """Write all of them; `images` are those of the services, `standins` their replacements.

        A service without a stand-in keeps the image of compose.yaml, so that an upgrade changes it.
        """
        self.write_settings()
        replaced: dict[str, dict[str, object]] = {
            service: ({"image": standins[image]} if standins.get(image) else {}) | patience(service)
            for service, image in images.items()
        }
        added = {**self._broker_ports(), "postgres": self._published(f"{self.postgres_port}:5432")}
        added["mail"] = self._mail(mail_image)
        services = {name: {**replaced.get(name, {}), **added.get(name, {})} for name in replaced.keys() | added.keys()}
        self.override.write_text(json.dumps({"services": services}, indent=2))

    def write_settings(self) -> None:
        """Write settings and secrets, with which compose.yaml can be read."""
        for path in (self.folder, self.mailbox):
            path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [FOLDER / "make-secrets", MAIL_URL, self.secrets], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackError(f"The secrets could not be created: {done.stderr.strip()}")
        settings = {
            "SITE_URL": f"http://{HOST}:{self.web_port}",
            "ALLOWED_HOSTS": f"{HOST},localhost",
            "HTTPS_ONLY": "false",
            "REVISION_AUTOMATICA": "true",
            "MAMOCHI_IMAGE": self.image,
            "WEB_ADDRESS": f"{HOST}:{self.web_port}",
            "PROMETHEUS_ADDRESS": f"{HOST}:{self.prometheus_port}",
            "GRAFANA_ADDRESS": f"{HOST}:{self.grafana_port}",
            "SECRETS_FOLDER": str(self.secrets),
        }
        self.settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def _broker_ports(self) -> dict[str, dict[str, object]]:
        """Give each broker one more listener, which names itself by its port on this machine."""
        return {
            name: {
                **self._published(f"{port}:{AUDIT_PORT}"),
                "environment": {
                    "KAFKA_LISTENERS": f"PLAINTEXT://:9092,CONTROLLER://:9093,{AUDIT_LISTENER}://:{AUDIT_PORT}",
                    "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{name}:9092,{AUDIT_LISTENER}://{HOST}:{port}",
                    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
                    f"{AUDIT_LISTENER}:PLAINTEXT",
                },
            }
            for name, port in self.broker_ports.items()
        }

    @staticmethod
    def _published(port: str) -> dict[str, object]:
        return {"ports": [f"{HOST}:{port}"], "networks": ["inside", "outside"]}

    def _mail(self, image: str) -> dict[str, object]:
        return {
            "image": image,
            "user": f"{os.getuid()}:{os.getgid()}",
            "networks": ["inside"],
            "volumes": [f"{self.mailbox}:/mailbox"],
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
        }

    def django_environment(self) -> dict[str, str]:
        """Return the variables with which the audit reads the same database and topics."""
        return {
            "DJANGO_SETTINGS_MODULE": "mamochi_site.settings",
            "DEBUG": "false",
            "HTTPS_ONLY": "false",
            "ALLOWED_HOSTS": HOST,
            "SECRET_KEY": self.secret("secret_key"),
            "DATABASE_URL": self.secret("database_url").replace("@postgres:5432/", f"@{HOST}:{self.postgres_port}/"),
            "KAFKA_BOOTSTRAP_SERVERS": ",".join(f"{HOST}:{port}" for port in self.broker_ports.values()),
            # The audit sends no task and no e-mail.
            "CELERY_BROKER_URL": f"redis://{HOST}:1/0",
            "EMAIL_URL": f"smtp://{HOST}:1",
        }

    def remove(self) -> None:
        """Remove all of them but the logs."""
        for path in (self.secrets, self.mailbox, self.folder / "bin"):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.override, self.settings, self.shell):
            path.unlink(missing_ok=True)
