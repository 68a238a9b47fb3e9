"""A Docker Engine: this machine's or, on Debian as root, one that lives as long as the run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from deploy.containers.docker import Docker, environment_for
from deploy.embedded.errors import StackError
from deploy.embedded.processes import end
from deploy.embedded.signals import uninterrupted

START_S = 60.0
STOP_S = 60.0
COMPOSE_WHEEL = Path(sys.executable).with_name("docker-compose")
Say = Callable[[str], None]


@contextmanager
def engine(checkout: Path, say: Say, *, force_own: bool = False) -> Iterator[Docker]:
    """Provide a client of this machine's engine, or of one that ends with the block.

    `force_own` starts an engine even if the machine has one. Raises StackError, with the remedy, if
    there is neither an engine nor the means to start one.
    """
    program = shutil.which("docker")
    if program and not force_own and _answers(program):
        yield _client(program)
        return
    own = OwnEngine(folder_of(checkout), say)
    own.start()
    try:
        yield own.client()
    finally:
        with uninterrupted():
            own.stop()


def folder_of(checkout: Path) -> Path:
    """Return the folder of the checkout's own engine.

    A unix socket's path has at most 107 characters, so it cannot be in the checkout.
    """
    name = f"mamochi-engine-{hashlib.sha256(str(checkout).encode()).hexdigest()[:8]}"
    return Path("/tmp") / name  # nosec B108 - made with mode 700, and refused if it exists


def _client(
    program: str, host: str = "", *, own: bool = False, options: tuple[str, ...] = (), config: Path | None = None
) -> Docker:
    # Debian's client has BuildKit built in; others need the plugin buildx.
    buildkit = own or _succeeds(program, "buildx", "version")
    environment = environment_for(host) | {"DOCKER_BUILDKIT": "1" if buildkit else "0"}
    if config:
        # The client writes into its folder, by default ~/.docker.
        environment["DOCKER_CONFIG"] = str(config / "client")
    compose = (program, "compose") if _succeeds(program, "compose", "version") else (str(COMPOSE_WHEEL),)
    return Docker(program, compose, environment, own, options)


def _answers(program: str) -> bool:
    return _succeeds(program, "version", "--format", "{{.Server.Version}}")


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False, timeout=30).returncode == 0


class OwnEngine:
    """Debian's dockerd with data, socket and processes in one folder, without firewall rules."""

    def __init__(self, folder: Path, say: Say) -> None:
        self.folder = folder
        self.say = say
        self.log = folder / "dockerd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._existed = {path for path in self._side_effects() if path.exists()}

    def client(self) -> Docker:
        """Return a client. There is no bridge for builds, so that they use the host's network."""
        return _client("/usr/bin/docker", self._host, own=True, options=("--network", "host"), config=self.folder)

    @property
    def _host(self) -> str:
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        """Install dockerd if it is missing, remove what an earlier run left, and start.

        Raises StackError.
        """
        _require_debian_root()
        install({"dockerd": "docker.io", "docker": "docker.io"}, self.say)
        self._clean()
        self.folder.mkdir(mode=0o700)
        config = self.folder / "daemon.json"
        config.write_text(json.dumps(self._config()))
        self.say("starting an own Docker Engine")
        with self.log.open("ab") as log:
            argv = ["dockerd", "--config-file", str(config)]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        self._wait_ready(self._process)

    def _config(self) -> dict[str, object]:
        return {
            "data-root": str(self.folder / "data"),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "dockerd.pid"),
            "hosts": [self._host],
            "deprecated-key-path": str(self.folder / "key.json"),
            # Containers meet on bridges and a proxy publishes ports: the host's network stays.
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "bridge": "none",
            "oom-score-adjust": 0,
        }

    def _wait_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_S
        client = ["/usr/bin/docker", "--host", self._host, "version"]
        while subprocess.run(client, capture_output=True, check=False).returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                last = self.log.read_text(errors="replace").splitlines()[-1:]
                self.stop()
                raise StackError(f"Docker's own engine did not start: {last}.")
            time.sleep(0.2)

    def stop(self) -> None:
        """End the engine and its containers, and remove its folder."""
        self.say("stopping the Docker Engine")
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self._clean()
        for path in self._side_effects():
            if path.exists() and path not in self._existed:
                with suppress(OSError):
                    path.rmdir()

    def _clean(self) -> None:
        """End processes that name the folder, unmount what is mounted in it, and remove it."""
        if not self.folder.exists():
            return
        end(self._processes())
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((mount for mount in mounts if mount.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["/bin/umount", "--lazy", mount], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            self.say(f"{self.folder} could not be removed whole")

    def _processes(self) -> list[psutil.Process]:
        """Return dockerd, its containerd, the shims and the proxies of ports; never ourselves."""
        own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.pid not in own and any(str(self.folder) in word for word in process.cmdline()):
                    found.append(process)
        return found

    @staticmethod
    def _side_effects() -> list[Path]:
        """Return folders that dockerd and runc create outside, innermost first."""
        cgroups = sorted(Path("/sys/fs/cgroup").glob("*/")) if Path("/sys/fs/cgroup").exists() else []
        groups = [folder / "docker" for folder in [*cgroups, Path("/sys/fs/cgroup")]]
        return [*groups, Path("/etc/docker"), Path("/run/docker/plugins"), Path("/run/docker")]


def _require_debian_root() -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise StackError(
            "No Docker Engine answers: start Docker, or run this as root on Debian, where it brings its own."
        )


def install(programs: dict[str, str], say: Say) -> None:
    """Install Debian's packages of the programs that are missing. Raises StackError."""
    needed = sorted({package for program, package in programs.items() if not _has_program(program)})
    if not needed:
        return
    say(f"installing {', '.join(needed)} with apt")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = ("-o", "DPkg::Lock::Timeout=300")
    for argv in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wait, *needed],
    ):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"`{' '.join(argv[:2])}` failed: {done.stderr.strip()[-500:]}")


def _has_program(program: str) -> bool:
    # Another client in /usr/local/bin may lack buildx, which Debian's does not need.
    return Path("/usr/bin", program).exists() or Path("/usr/sbin", program).exists()


def install_debootstrap(say: Say) -> None:
    """Install debootstrap if it is missing. Raises StackError unless we are root on Debian."""
    _require_debian_root()
    install({"debootstrap": "debootstrap"}, say)
