"""What a run adds to the overlay `test`: the images and the secrets."""

import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.cluster.network import HOSTS
from mamochi_site.local.system import CHECKOUT

OVERLAY = CHECKOUT / "deploy" / "kubernetes" / "overlays" / "test"
# Addresses of the overlay's services.
KAFKA, POSTGRES, VALKEY, MAIL = "10.216.0.52:9092", "10.216.0.50:5432", "10.216.0.51:6379", "10.216.0.54:1025"
PARTITIONS = 6  # as ventas/events.py declares
URL = f"http://{HOSTS[0].address}:30080"


def _password() -> str:
    return secrets.token_hex(16)


@dataclass
class Files:
    """The kustomization of one run, in `folder`."""

    folder: Path
    admin: str = field(default_factory=_password)
    database: str = field(default_factory=_password)
    valkey: str = field(default_factory=_password)
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(64))

    @property
    def database_url(self) -> str:
        """Return the URL of the database."""
        return f"postgresql://mamochi:{self.database}@{POSTGRES}/mamochi"

    def write(self, images: dict[str, str], *, partitions: int = PARTITIONS) -> None:
        """Write the kustomization; `images` replace those of the overlay.

        `partitions`: how many the topic of sales has.
        """
        self.remove()
        self.folder.mkdir(parents=True)
        made = [self._secret(name, values) for name, values in self._secrets().items()]
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "mamochi",
            # kustomize takes no absolute path.
            "resources": [os.path.relpath(OVERLAY, self.folder)],
            "images": [_replacement(old, new) for old, new in images.items()],
            "configMapGenerator": [
                {"name": "mamochi", "behavior": "merge", "literals": [f"KAFKA_PARTITIONS=mamochi.ventas={partitions}"]}
            ],
            "secretGenerator": made,
        }
        (self.folder / "kustomization.yaml").write_text(json.dumps(kustomization, indent=2))

    def _secrets(self) -> dict[str, dict[str, str]]:
        return {
            "mamochi": {
                "secret_key": self.secret_key,
                "database_url": self.database_url,
                "celery_broker_url": f"redis://:{self.valkey}@{VALKEY}/0",
                "email_url": f"smtp://{MAIL}",
            },
            "mamochi-admin": {"password": self.admin},
            "postgres": {"postgres_password": self.database, "postgres_superuser_password": _password()},
            "valkey": {"valkey_conf": f"requirepass {self.valkey}"},
        }

    def _secret(self, name: str, values: dict[str, str]) -> dict[str, Any]:
        """Write the values as files, and return the generator that reads them."""
        folder = self.folder / "secrets" / name
        folder.mkdir(parents=True, mode=0o700)
        for key, value in values.items():
            (folder / key).write_text(value)
        files = [f"secrets/{name}/{key}" for key in values]
        return {"name": name, "files": files, "options": {"disableNameSuffixHash": True}}

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def django_environment(self) -> dict[str, str]:
        """Return the variables with which the audit reads the same database and topics."""
        return {
            "DJANGO_SETTINGS_MODULE": "mamochi_site.settings",
            "DEBUG": "false",
            "HTTPS_ONLY": "false",
            "ALLOWED_HOSTS": HOSTS[0].address,
            "SECRET_KEY": self.secret_key,
            "DATABASE_URL": self.database_url,
            "KAFKA_BOOTSTRAP_SERVERS": KAFKA,
            # The audit sends no task and no e-mail.
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
            "EMAIL_URL": "smtp://127.0.0.1:1",
        }


def _replacement(old: str, new: str) -> dict[str, str]:
    name, _, tag = new.rpartition(":")
    return {"name": old.partition(":")[0], "newName": name, "newTag": tag}
