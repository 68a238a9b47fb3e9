"""etcd, the API server, the controllers and the scheduler, each a process that ends with ours."""

import json
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deploy.cluster.certificates import Authority
from deploy.cluster.network import SERVICES
from deploy.cluster.programs import built, from_wheel
from deploy.embedded.errors import StackError
from deploy.embedded.ports import HOST, free_port
from deploy.embedded.processes import Process
from deploy.embedded.waiting import wait_until

START_S: Final = 120.0
API_SERVER: Final = "kube-apiserver"
# They act on what the API server stores.
CONTROLLERS: Final = ("kube-controller-manager", "kube-scheduler")
# The API server's name where it passes a request on to an aggregated server.
AGGREGATOR: Final = "aggregator"


@dataclass
class ControlPlane:
    """The control plane, with all of its files in `folder`.

    The API server listens at `address` and `port`. `inside` begins every command line, to run it
    in a network namespace. `say` gets a line per step that takes long.
    """

    folder: Path
    say: Any
    address: str = HOST
    port: int = field(default_factory=free_port)
    inside: tuple[str, ...] = ()
    processes: dict[str, Process] = field(default_factory=dict)
    authority: Authority = field(init=False)

    @property
    def kubeconfig(self) -> Path:
        """Return the file with which a client is the administrator."""
        return self.folder / "admin.kubeconfig"

    def start(self, *, controllers: bool = True) -> None:
        """Start and wait until the API server is ready. Raises StackError."""
        names = (API_SERVER, *(CONTROLLERS if controllers else ()))
        programs = built(names, self.say)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(self.folder / "pki")
        self._write_access(secrets.token_urlsafe(24))
        client, peer = (f"http://{HOST}:{free_port()}" for _ in range(2))
        self._run("etcd", _etcd(self.folder / "etcd", client, peer))
        self._run(API_SERVER, self._api_server(programs[API_SERVER], client))
        self._wait_ready()
        for name in names[1:]:
            self._run(name, self._controller(programs[name]))

    def _write_access(self, token: str) -> None:
        (self.folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
        (self.folder / "tokens.csv").chmod(0o600)
        cluster = {
            "server": f"https://{self.address}:{self.port}",
            "certificate-authority": str(self.authority.certificate),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "own", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": "admin"}}],
            "current-context": "own",
        }
        self.kubeconfig.touch(0o600)
        self.kubeconfig.write_text(json.dumps(config))

    def _api_server(self, program: Path, etcd: str) -> list[str]:
        certificate, key = self.authority.issue(
            "kube-apiserver", [f"IP:{self.address}", "IP:127.0.0.1", "DNS:localhost"]
        )
        proxy_certificate, proxy_key = self.authority.issue(AGGREGATOR)
        signing, public = self.authority.key_pair("service-accounts")
        return [
            *(str(program), f"--etcd-servers={etcd}", f"--bind-address={self.address}", f"--secure-port={self.port}"),
            *(f"--advertise-address={self.address}", "--endpoint-reconciler-type=none"),
            *(f"--tls-cert-file={certificate}", f"--tls-private-key-file={key}"),
            *("--authorization-mode=RBAC", f"--token-auth-file={self.folder}/tokens.csv"),
            *(f"--client-ca-file={self.authority.certificate}", f"--service-cluster-ip-range={SERVICES}"),
            *("--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={public}"),
            f"--service-account-signing-key-file={signing}",
            *(
                f"--requestheader-client-ca-file={self.authority.certificate}",
                f"--requestheader-allowed-names={AGGREGATOR}",
            ),
            *("--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group"),
            "--requestheader-username-headers=X-Remote-User",
            *(f"--proxy-client-cert-file={proxy_certificate}", f"--proxy-client-key-file={proxy_key}"),
            *("--kubelet-preferred-address-types=InternalIP", "--enable-priority-and-fairness=false"),
        ]

    def _controller(self, program: Path) -> list[str]:
        config = self.kubeconfig
        common = [
            *(str(program), f"--kubeconfig={config}", f"--authentication-kubeconfig={config}"),
            *(f"--authorization-kubeconfig={config}", f"--bind-address={HOST}", f"--secure-port={free_port()}"),
            *("--leader-elect=false", f"--cert-dir={self.folder}/{program.name}"),
        ]
        if program.name != "kube-controller-manager":
            return common
        pki = self.authority.folder
        return [
            *(*common, f"--root-ca-file={self.authority.certificate}"),
            f"--service-account-private-key-file={pki}/service-accounts.key",
            # Quicker than the defaults of 15 s and 5 min, so that a run sees several decisions.
            *("--horizontal-pod-autoscaler-sync-period=3s", "--horizontal-pod-autoscaler-downscale-stabilization=10s"),
            # A lost node is not what a run waits for.
            "--node-monitor-grace-period=50s",
        ]

    def _run(self, name: str, argv: list[str]) -> None:
        # The cores are the pods'.
        environment = {**os.environ, "GOMAXPROCS": "2"}
        log = self.folder / f"{name}.log"
        process = Process(name, [*self.inside, *argv], log, self.folder, environment, niceness=5)
        process.spawn()
        self.processes[name] = process

    def _wait_ready(self) -> None:
        process = self.processes[API_SERVER]
        process.wait_ready(lambda: self.answers("get", "--raw", "/readyz"), START_S)

    def answers(self, *arguments: str) -> bool:
        """Return True if `kubectl ARGUMENTS` succeeds now."""
        try:
            self.kubectl(*arguments, timeout=10)
        except StackError:
            return False
        return True

    def kubectl(self, *arguments: str, text: str = "", timeout: float = 60) -> str:
        """Return what `kubectl ARGUMENTS` prints; it reads `text`. Raises StackError."""
        argv = [*self.inside, str(from_wheel("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments]
        # Its cache of what the server knows belongs to the run.
        environment = {**os.environ, "KUBECACHEDIR": str(self.folder / "cache")}
        try:
            done = subprocess.run(
                argv, input=text, env=environment, capture_output=True, text=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"`kubectl {' '.join(arguments)[:80]}` did not end within {timeout:g} s.") from None
        if done.returncode:
            raise StackError(f"`kubectl {' '.join(arguments)[:80]}`: {done.stderr.strip()[-1500:]}")
        return done.stdout

    def objects(self, *arguments: str) -> dict[str, Any]:
        """Return what `kubectl get ARGUMENTS` finds. Raises StackError."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json"))
        return found

    def create_definitions(self, files: list[Path]) -> None:
        """Create resource definitions and wait until they are served. Raises StackError."""
        arguments = [f"--filename={file}" for file in files]
        # `apply` would copy each definition into an annotation, for which some are too large.
        self.kubectl("create", *arguments, timeout=120)
        # Not `kubectl wait`, which fails while a definition's conditions are null.
        wait_until(lambda: self._established(arguments), 60, what="the definitions are served", interval=0.3)

    def _established(self, arguments: list[str]) -> bool:
        """Return True if every resource definition in the files is served."""
        states = [
            {one["type"]: one["status"] for one in each.get("status", {}).get("conditions") or ()}
            for each in self.objects(*arguments)["items"]
        ]
        return all(state.get("Established") == "True" for state in states)

    def stop(self) -> None:
        """Stop every process and remove the files, but for the logs."""
        for process in reversed(self.processes.values()):
            process.stop(timeout=5)
        self.processes.clear()
        for path in self.folder.iterdir() if self.folder.exists() else ():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix != ".log":
                path.unlink()


def _etcd(data: Path, client: str, peer: str) -> list[str]:
    return [
        # What a run stores need not survive a power cut.
        *(str(from_wheel("etcd")), "--name=own", f"--data-dir={data}", "--unsafe-no-fsync"),
        *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
        *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=own={peer}"),
        "--log-level=warn",
    ]
