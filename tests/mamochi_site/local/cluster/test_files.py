"""What a run adds to the overlay `test`."""

import json
import os
from pathlib import Path

import yaml

from mamochi_site.local.cluster.files import KAFKA, MAIL, OVERLAY, PARTITIONS, POSTGRES, URL, VALKEY, Files
from mamochi_site.local.cluster.images import SERVERS
from ventas.events import VENTAS


def test_the_overlays_addresses_are_those_of_the_run() -> None:
    texts = {file.name: file.read_text() for file in OVERLAY.glob("*.yaml")}
    services = [one for text in texts.values() for one in yaml.safe_load_all(text) if one and one["kind"] == "Service"]
    addresses = {one["metadata"]["name"]: one["spec"].get("clusterIP") for one in services}
    for name, address in (("kafka", KAFKA), ("postgres", POSTGRES), ("mail", MAIL)):
        assert address.startswith(f"{addresses[name]}:")
    assert f"value: {VALKEY.split(':')[0]}\n" in texts["kustomization.yaml"]
    assert f"KAFKA_BOOTSTRAP_SERVERS={KAFKA}\n" in texts["kustomization.yaml"]
    assert f"SITE_URL={URL}\n" in texts["kustomization.yaml"]


def test_images_secrets_and_partitions_are_added(tmp_path: Path) -> None:
    files = Files(tmp_path / "run")
    files.write({image: f"standin/{image}" for image in SERVERS}, partitions=12)
    added = json.loads((tmp_path / "run" / "kustomization.yaml").read_text())
    assert [one["name"] for one in added["images"]] == ["apache/kafka", "postgres", "valkey/valkey"]
    assert added["configMapGenerator"][0]["literals"] == ["KAFKA_PARTITIONS=mamochi.ventas=12"]
    assert os.path.samefile(tmp_path / "run" / added["resources"][0], OVERLAY)
    for secret in added["secretGenerator"]:
        assert all((tmp_path / "run" / file).read_text() for file in secret["files"])
    files.remove()
    assert not (tmp_path / "run").exists()


def test_a_run_begins_with_the_declared_partitions() -> None:
    assert VENTAS.partitions == PARTITIONS
