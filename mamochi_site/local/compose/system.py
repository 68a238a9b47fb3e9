"""The services of deploy/compose on an engine: start, break, look at, stop."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from deploy.containers import images
from deploy.containers.docker import SERVICE, Docker
from deploy.embedded import StackError
from deploy.embedded.mailbox import Mailbox
from deploy.embedded.ports import HOST
from deploy.embedded.signals import uninterrupted
from deploy.embedded.waiting import wait_until
from mamochi_site.local.compose.files import BROKERS, COMPOSE_FILE, Files
from mamochi_site.local.system import web_is_ready

UP_S = 900.0
READY_S = 60.0
STOP_S = 180.0
# How often the engine is asked whether a container has ended, in seconds.
LOOK_EVERY_S = 3.0
SERVERS = (*BROKERS, "postgres", "valkey", "mail", "prometheus", "grafana")
Say = Callable[[str], None]


class Ended(NamedTuple):
    """How a container ended; `seconds` from the request to stop."""

    service: str
    exit_code: int
    seconds: float


class ComposeSystem:
    """Everything of compose.yaml, running."""

    def __init__(self, docker: Docker, files: Files, say: Say) -> None:
        self.docker = docker
        self.files = files
        self.say = say
        self.logs = files.folder / "logs"
        self.url = f"http://{HOST}:{files.web_port}"
        self.broken: set[str] = set()
        # Empty: all of them.
        self.started: list[str] = []
        self._looked = 0.0
        self._failure = ""

    @cached_property
    def mailbox(self) -> Mailbox:
        """Return the e-mails that arrived."""
        return Mailbox(self.files.mailbox)

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        """Return what `docker compose ARGUMENTS` prints for this system. Raises StackError."""
        return self.docker.run_compose(*arguments, environment=self.environment(), timeout=timeout)

    def environment(self) -> dict[str, str]:
        """Return the variables of this run's own calls of `docker compose`."""
        return self.files.environment() | {"COMPOSE_PROFILES": "monitoring" if self.files.monitoring else ""}

    def services(self) -> dict[str, dict[str, Any]]:
        """Return a container of each service as the engine describes it, also if it has ended."""
        found = self.docker.containers(self.files.project).values()
        return {container["Config"]["Labels"][SERVICE]: container for container in found}

    def container(self, service: str) -> str:
        """Return the name of the first container of a service."""
        return f"{self.files.project}-{service}-1"

    def up(self) -> None:
        """Start everything and wait until the web serves. Raises StackError."""
        self.compose("up", "--detach", "--no-build", "--quiet-pull", "--wait", *self.started, timeout=UP_S)
        wait_until(
            lambda: web_is_ready(f"{HOST}:{self.files.web_port}"),
            READY_S,
            what=f"{self.url}/health/ready answers 200",
            interval=0.2,
        )

    def failure(self) -> str:
        """Return which container has ended that should not, or else an empty text.

        The engine is asked every LOOK_EVERY_S seconds only.
        """
        if time.monotonic() - self._looked > LOOK_EVERY_S:
            self._looked = time.monotonic()
            ended = {
                name: container["State"]["ExitCode"]
                for name, container in self.services().items()
                if name not in self.broken and container["State"]["Status"] in ("exited", "dead", "restarting")
            }
            ended = {name: code for name, code in ended.items() if not (name == "prepare" and code == 0)}
            self._failure = ", ".join(f"{name} terminó (código {code})" for name, code in ended.items())
        return self._failure

    def kill(self, service: str) -> None:
        """Kill a container (SIGKILL), as a crash would; it stays down until `restore`."""
        self.broken.add(service)
        self.docker.run("kill", "--signal", "KILL", self.container(service))

    def restore(self, service: str) -> None:
        """Start a killed container again and wait until it is healthy. Raises StackError."""
        self.docker.run("start", self.container(service))
        self.broken.discard(service)
        wait_until(lambda: self._health(service) == "healthy", READY_S * 2, what=f"{service} is healthy", interval=0.5)

    def _health(self, service: str) -> str:
        return str(self.services()[service]["State"]["Health"]["Status"])

    def memory(self) -> dict[str, float]:
        """Return the memory in MiB that each service uses now."""
        lines = self.docker.run("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").splitlines()
        used = {name: _mebibytes(usage) for name, usage in (line.split()[:2] for line in lines)}
        return {
            name: used[container["Name"].lstrip("/")]
            for name, container in sorted(self.services().items())
            if container["Name"].lstrip("/") in used
        }

    def stop_applications(self) -> list[Ended]:
        """Stop the processes of the application, all at once, and return how each ended."""
        names = [name for name in self.services() if name not in SERVERS and name != "prepare"]
        return self._stop(names)

    def stop_servers(self) -> list[Ended]:
        """Stop PostgreSQL, Valkey and one broker, and return how each ended.

        Only one broker: the last of three have no quorum to hand partitions to, and wait in vain.
        """
        return self._stop(["postgres", "valkey", BROKERS[0]])

    def _stop(self, services: list[str]) -> list[Ended]:
        asked = time.time()
        self.compose("stop", *services, timeout=STOP_S)
        states = {name: self.services()[name]["State"] for name in services}
        return [
            Ended(name, int(state["ExitCode"]), round(_epoch(state["FinishedAt"]) - asked, 1))
            for name, state in sorted(states.items())
        ]

    def save_logs(self) -> None:
        """Write the log of each container to a file in `logs`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for name in self.services():
            text = self.compose("logs", "--no-color", "--no-log-prefix", "--timestamps", name)
            (self.logs / f"{name}.log").write_text(text)

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "1", timeout=STOP_S)


def _mebibytes(text: str) -> float:
    found = re.match(r"([\d.]+)([KMG]?)i?B", text)
    factor = {"": 1 / 2**20, "K": 1 / 1024, "M": 1.0, "G": 1024.0}
    return round(float(found[1]) * factor[found[2]], 1) if found else 0.0


def _epoch(text: str) -> float:
    """Return the engine's time, which has nanoseconds, as seconds since the epoch."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text).replace("Z", "+00:00")).timestamp()


@contextmanager
def running_compose(docker: Docker, files: Files, say: Say) -> Iterator[ComposeSystem]:
    """Build what is needed, start everything, and remove it at the end of the block.

    Logs stay in the folder. Raises StackError when something cannot be built or does not start.
    """
    system = ComposeSystem(docker, files, say)
    try:
        _clear_logs(system.logs)
        files.write_settings()
        _build(system)
        began = time.monotonic()
        say("starting brokers, PostgreSQL, Valkey and the processes")
        system.up()
        say(f"everything is up in {time.monotonic() - began:.0f} s: {system.url}")
        yield system
    finally:
        with uninterrupted():
            _tear_down(system)


def _clear_logs(folder: Path) -> None:
    for log in folder.glob("*.log"):
        log.unlink()


def _build(system: ComposeSystem) -> None:
    docker, say, tag = system.docker, system.say, system.files.image
    base = images.base_image(docker, say)
    began = time.monotonic()
    say("building the image")
    images.build_application(docker, tag, base)
    sizes = [int(docker.run("image", "inspect", "--format", "{{.Size}}", name)) for name in (tag, base)]
    megabytes = [round(size / 1e6) for size in sizes]
    added = megabytes[0] - megabytes[1]
    say(f"image built in {time.monotonic() - began:.0f} s: {megabytes[0]} MB, {added} over its base")
    wanted = _images(system)
    began = time.monotonic()
    standins = images.replace_missing(docker, [image for image in wanted.values() if image != tag], base, say)
    left_out = {service for service, image in wanted.items() if standins.get(image) == ""}
    if left_out:
        say(f"left out, because the image cannot be pulled: {', '.join(sorted(left_out))}")
    system.started = [*sorted(wanted.keys() - left_out), "mail"]
    system.files.write(standins, wanted, images.build_mail(docker, base))
    if standins:
        say(f"stand-ins built in {time.monotonic() - began:.0f} s")


def _images(system: ComposeSystem) -> dict[str, str]:
    """Return the image of each service of compose.yaml that this run starts."""
    environment = system.environment() | {"COMPOSE_FILE": str(COMPOSE_FILE)}
    text = system.docker.run_compose("config", "--format", "json", environment=environment)
    return {name: service["image"] for name, service in json.loads(text)["services"].items()}


def _tear_down(system: ComposeSystem) -> None:
    """Remove everything, as far as it exists; report what cannot be removed."""
    for action in (system.save_logs, system.down, lambda: _remove_standins(system.docker)):
        try:
            action()
        except StackError as error:
            system.say(str(error))
    system.files.remove()


def _remove_standins(docker: Docker) -> None:
    if not docker.own:
        images.remove_standins(docker)
