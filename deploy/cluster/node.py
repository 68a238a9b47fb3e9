"""A node: containerd, kubelet, kube-proxy and kube-router, in namespaces that end with it.

Its processes and those of its pods are in one PID namespace, so that all of them end with its first
process. In its mount namespace files stand over the kernel's settings that kubelet would change.
"""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil

from deploy.cluster.network import PODS, SERVICES, Host
from deploy.cluster.programs import built
from deploy.embedded.errors import StackError
from deploy.embedded.processes import Process
from deploy.embedded.waiting import wait_until

PAUSE: Final = "mamochi-standin/pause:1"
PLUGINS: Final = "/usr/lib/cni"
START_S: Final = 60.0
# Kernel settings, of the whole machine, that kubelet writes, and what it wants to read there.
SETTINGS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
# Folders of the machine in which the programs write at fixed places: the node sees empty ones.
HIDDEN: Final = ("/run", "/var/lib", "/var/log")
# containerd makes a cgroup for each container below this one, the name of its namespace.
CGROUP: Final = "k8s.io"
CGROUPS: Final = Path("/sys/fs/cgroup")


class Node:
    """One node, with all of its files in `folder`, whose path must be short: sockets are in it."""

    def __init__(self, folder: Path, host: Host, kubeconfig: Path, say: Any) -> None:
        self.folder = folder
        self.host = host
        self.kubeconfig = kubeconfig
        self.say = say
        self.processes: dict[str, Process] = {}

    @property
    def socket(self) -> Path:
        """Return containerd's socket."""
        return self.folder / "c.sock"

    @property
    def inside(self) -> tuple[str, ...]:
        """Return the beginning of a command line that runs on the node."""
        return ("nsenter", f"--target={self._first().pid}", "--mount", "--net", "--pid")

    def _first(self) -> psutil.Process:
        """Return the first process of the node's PID namespace."""
        return psutil.Process(self.processes["init"].pid).children()[0]

    def start(self, images: Path) -> None:
        """Start all but kube-router, and import the images. Raises StackError."""
        programs = built(("kubelet", "kube-proxy"), self.say)
        self.folder.mkdir(parents=True)
        self._write_files()
        self._start_init()
        self._run("containerd", ["containerd", "--config", str(self.folder / "containerd.toml")])
        self._wait("containerd", lambda: self._succeeds("ctr", "--address", str(self.socket), "version"))
        self._import(images)
        self._run("kube-proxy", [str(programs["kube-proxy"]), f"--config={self.folder}/proxy.json", *self._name])
        self._run("kubelet", self._kubelet(programs["kubelet"]))

    def enforce_policies(self) -> None:
        """Start kube-router, which ends where the API server does not know the node yet."""
        program = built(("kube-router",), self.say)["kube-router"]
        self._run("kube-router", self._router(program))

    @property
    def _name(self) -> list[str]:
        return [f"--hostname-override={self.host.name}"]

    def _start_init(self) -> None:
        """Start the first process: it makes the mounts, and reaps processes whose parents ended."""
        binds = [f"mount --bind {self.folder}/settings/{name.replace('/', '.')} /proc/sys/{name}" for name in SETTINGS]
        mounts = [f"mount -t tmpfs none {folder}" for folder in HIDDEN]
        forever = "while :; do sleep 3600 & wait $!; done"
        script = "; ".join(["set -e", *binds, *mounts, f"touch {self.folder}/ready", forever])
        unshare = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._spawn("init", [*self.host.inside, *unshare, "bash", "-c", script])
        self._wait("init", (self.folder / "ready").exists)

    def _spawn(self, name: str, argv: list[str]) -> None:
        environment = {**os.environ, "GOMAXPROCS": "2", "NODE_NAME": self.host.name}
        process = Process(name, argv, self.folder / f"{name}.log", self.folder, environment)
        process.spawn()
        self.processes[name] = process

    def _run(self, name: str, argv: list[str]) -> None:
        self._spawn(name, [*self.inside, *argv])

    def _wait(self, name: str, ready: Any) -> None:
        self.processes[name].wait_ready(ready, START_S)

    def _succeeds(self, *argv: str) -> bool:
        return subprocess.run([*self.inside, *argv], capture_output=True, check=False).returncode == 0

    def _import(self, images: Path) -> None:
        argv = [*self.inside, "ctr", "--address", str(self.socket), "--namespace", "k8s.io"]
        done = subprocess.run(
            [*argv, "images", "import", str(images)], capture_output=True, text=True, check=False, timeout=300
        )
        if done.returncode:
            raise StackError(f"containerd cannot import the images: {done.stderr.strip()[-500:]}")

    def _router(self, program: Path) -> list[str]:
        return [
            *(str(program), f"--kubeconfig={self.kubeconfig}", *self._name),
            # Network policies only; routes and services are others' work.
            *("--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--run-loadbalancer=false"),
            *("--health-port=0", "--enable-cni=false", "--metrics-port=0", "--iptables-sync-period=30s"),
            f"--service-cluster-ip-range={SERVICES}",
        ]

    def _kubelet(self, program: Path) -> list[str]:
        return [
            *(str(program), f"--config={self.folder}/kubelet.json", f"--kubeconfig={self.kubeconfig}", *self._name),
            *(f"--root-dir={self.folder}/kubelet", f"--cert-dir={self.folder}/pki", f"--node-ip={self.host.address}"),
            f"--node-labels=topology.kubernetes.io/zone=zone-{self.host.number}",
        ]

    def _write_files(self) -> None:
        settings = self.folder / "settings"
        settings.mkdir()
        for name, value in SETTINGS.items():
            (settings / name.replace("/", ".")).write_text(f"{value}\n")
        (self.folder / "cni").mkdir()
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(self._cni()))
        (self.folder / "containerd.toml").write_text(self._containerd())
        (self.folder / "kubelet.json").write_text(json.dumps(self._kubelet_settings()))
        (self.folder / "proxy.json").write_text(json.dumps(self._proxy_settings()))

    def _cni(self) -> dict[str, Any]:
        ranges = [[{"subnet": self.host.pods}]]
        ipam = {
            "type": "host-local",
            "ranges": ranges,
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": f"{self.folder}/ipam",
        }
        bridge = {"type": "bridge", "bridge": "pods", "isGateway": True, "hairpinMode": True, "ipam": ipam}
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}

    def _containerd(self) -> str:
        cri = '[plugins."io.containerd.grpc.v1.cri"'
        return f"""version = 2
root = "{self.folder}/containerd"
state = "{self.folder}/run"
[grpc]
  address = "{self.socket}"
{cri}]
  sandbox_image = "docker.io/{PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
{cri}.cni]
  bin_dir = "{PLUGINS}"
  conf_dir = "{self.folder}/cni"
{cri}.containerd]
  default_runtime_name = "runc"
{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""

    def _kubelet_settings(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": [],
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            # The port of kubelet is reachable on the cluster's own network only.
            "authorization": {"mode": "AlwaysAllow"},
            "address": self.host.address,
            "readOnlyPort": 0,
            "oomScoreAdj": 0,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "localStorageCapacityIsolation": False,
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "100Mi"},
            "podLogsDir": f"{self.folder}/pods",
            "volumePluginDir": f"{self.folder}/plugins",
            "featureGates": {"KubeletInUserNamespace": True},
            "clusterDomain": "cluster.local",
            "registerWithTaints": [],
        }

    def _proxy_settings(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "bindAddress": self.host.address,
            "healthzBindAddress": "",
            "metricsBindAddress": "127.0.0.1:10249",
            "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            "clusterCIDR": PODS,
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "iptables": {"localhostNodePorts": False, "minSyncPeriod": "0s"},
        }

    def logs_of(self, pod: str) -> list[Path]:
        """Return the log files of a pod, whose name begins so."""
        return sorted((self.folder / "pods").glob(f"*_{pod}*/*/*.log"))

    def stop(self) -> None:
        """End every process of the node and of its pods, and remove what they left."""
        init = self.processes.get("init")
        if init is not None:
            init.kill()
        for process in self.processes.values():
            process.stop(timeout=2)
        self.processes.clear()
        clean(self.folder)


def clean(folder: Path) -> None:
    """Remove a node's cgroups and files, also of a run that was killed."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and any(word.startswith(f"{folder}/") for word in process.cmdline()):
                process.kill()
    # Containers that were running, and whose cgroups nobody removed.
    containers = [path.name for path in (folder / "run" / "io.containerd.runtime.v2.task" / CGROUP).glob("*")]
    for root in [CGROUPS, *CGROUPS.glob("*/")]:
        for name in containers:
            _remove_cgroup(root / CGROUP / name)
        # Ours, unless it has containers of this machine's own containerd.
        with suppress(OSError):
            (root / CGROUP).rmdir()
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise StackError(f"{folder} could not be removed whole.")


def _remove_cgroup(group: Path) -> None:
    for folder in [path for path in sorted(group.rglob("*"), reverse=True) if path.is_dir()] + [group]:
        # A group is removable a moment after its last process ended.
        with suppress(OSError, TimeoutError):
            wait_until(partial(_removed, folder), 3, what="the cgroup is empty")


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
