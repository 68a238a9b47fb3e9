"""The programs of a cluster, built from source once and kept in the user's cache folder.

No registry of wheels has them. `tools/NAME` is a Go module that pins each source by its checksum.
`python -m deploy.cluster.programs` builds all of them, which takes 25 minutes of CPU time.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.containers.images import CACHE
from deploy.embedded.errors import StackError

TOOLS = Path(__file__).with_name("tools")
KUBERNETES = "1.36.3"
_VERSION = "k8s.io/component-base/version"
_STAMPS = f"-X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"
_CONTROL = "k8s.io/kubernetes/cmd"
_KEDA = "github.com/kedacore/keda/v2/cmd"
# Linking KEDA needs 3 GiB; more than one compiler at a time would need more.
LIMITS = {"GOMEMLIMIT": "3GiB", "GOMAXPROCS": "1", "CGO_ENABLED": "0"}
FLAGS = ("-p", "1", "-trimpath", "-mod=readonly", "-buildvcs=false")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """One program: the module in `tools` that pins it, and its package."""

    module: str
    package: str
    stamps: str = ""


PROGRAMS = {
    **{
        name: Program("kubernetes", f"{_CONTROL}/{name}", _STAMPS)
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    },
    "kube-router": Program("kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),
    "keda-adapter": Program("keda", f"{_KEDA}/adapter"),
    "keda-operator": Program("keda", f"{_KEDA}/operator"),
}


def from_wheel(name: str) -> Path:
    """Return a program of the group `cluster` (etcd, go, kubectl). Raises StackError."""
    program = Path(sys.executable).with_name(name)
    if not program.exists():
        raise StackError(f"{name} is missing in {sys.prefix}: run `uv sync --group cluster`, as ./dev cluster does.")
    return program


def built(names: tuple[str, ...], say: Say) -> dict[str, Path]:
    """Return the path of each program; build what the cache does not have. Raises StackError."""
    return {name: _built(name, say) for name in names}


def _built(name: str, say: Say) -> Path:
    program = PROGRAMS[name]
    folder = CACHE / "cluster" / f"{program.module}-{_fingerprint(program.module)}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with _one_at_a_time(folder / f".{name}.lock"):
        if not path.exists():
            _build(program, path, say)
    return path


def _fingerprint(module: str) -> str:
    """Return a hash of the sources' checksums, the compiler and the stamps."""
    parts = [(TOOLS / module / name).read_bytes() for name in ("go.mod", "go.sum")]
    version = run_go("env", "GOVERSION", folder=TOOLS / module)
    return hashlib.sha256(b"".join([*parts, version.encode(), _STAMPS.encode()])).hexdigest()[:12]


def _build(program: Program, path: Path, say: Say) -> None:
    say(f"building {path.name} from source (once; kept in {path.parent})")
    began = time.monotonic()
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    arguments = ("build", *FLAGS, "-ldflags", f"-s -w {program.stamps}", "-o", str(half), program.package)
    run_go(*arguments, folder=TOOLS / program.module, timeout=7200)
    half.rename(path)
    say(f"{path.name} built in {time.monotonic() - began:.0f} s")


def run_go(*arguments: str, folder: Path, timeout: float = 600) -> str:
    """Return what `go ARGUMENTS` prints in a module's folder. Raises StackError."""
    environment = {name: text for name, text in os.environ.items() if name not in ("GOFLAGS", "GOROOT", "GOWORK")}
    argv = [str(from_wheel("go")), *arguments]
    # The wheel's compiler, whatever newer one a module would like.
    settings = {**LIMITS, "GOTOOLCHAIN": "local"}
    done = subprocess.run(
        argv, cwd=folder, env=environment | settings, capture_output=True, text=True, check=False, timeout=timeout
    )
    if done.returncode:
        raise StackError(f"`go {' '.join(arguments[:2])}` failed in {folder}: {done.stderr.strip()[-800:]}")
    return done.stdout


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for one in built(tuple(sys.argv[1:] or PROGRAMS), lambda text: print(text, flush=True)).values():
        print(one)
