"""The programs `docker` and `docker compose`, bound to one engine."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.embedded.errors import StackError

# Labels that compose gives its containers.
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"


@dataclass(frozen=True)
class Docker:
    """A client of the engine that DOCKER_HOST in `environment` names."""

    program: str
    compose: tuple[str, ...]
    environment: dict[str, str]
    # True if the engine belongs to this run and disappears with it.
    own: bool
    # Arguments of every `docker build`.
    build_options: tuple[str, ...] = field(default=())

    def run(self, *arguments: str, timeout: float = 120, cwd: Path | None = None) -> str:
        """Return what `docker ARGUMENTS` prints. Raises StackError if it fails or is too slow."""
        return self._run([self.program, *arguments], timeout, cwd, self.environment)

    def run_compose(self, *arguments: str, environment: dict[str, str], timeout: float = 300) -> str:
        """Return what `docker compose ARGUMENTS` prints. Raises StackError."""
        return self._run([*self.compose, *arguments], timeout, None, self.environment | environment)

    def _run(self, argv: Sequence[str], timeout: float, cwd: Path | None, environment: dict[str, str]) -> str:
        try:
            done = subprocess.run(
                argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"{_short(argv)} did not end within {timeout:g} s.") from None
        except OSError as error:
            raise StackError(f"{_short(argv)} cannot be started: {error}.") from error
        if done.returncode:
            raise StackError(f"{_short(argv)} failed: {_last_lines(done.stderr or done.stdout)}")
        return done.stdout

    def has_image(self, image: str) -> bool:
        """Return True if the engine has the image."""
        return bool(self.run("images", "--quiet", image).strip())

    def build(self, folder: Path, tag: str, *, file: Path | None = None, arguments: dict[str, str]) -> None:
        """Build the image `tag` from the context `folder`. Raises StackError."""
        options = [option for name, value in arguments.items() for option in ("--build-arg", f"{name}={value}")]
        dockerfile = ["--file", str(file)] if file else []
        self.run("build", *self.build_options, *dockerfile, *options, "--tag", tag, str(folder), timeout=1200)

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """Return what the engine knows of these containers."""
        found: list[dict[str, Any]] = json.loads(self.run("container", "inspect", *names)) if names else []
        return found

    def containers(self, project: str) -> dict[str, dict[str, Any]]:
        """Return the containers of a compose project by name, also those that have ended."""
        ids = self.run("ps", "--all", "--quiet", "--filter", f"label={PROJECT}={project}").split()
        return {container["Name"].lstrip("/"): container for container in self.inspect(*ids)}


def _short(argv: Sequence[str]) -> str:
    """Return the command without its long arguments, for an error message."""
    words = [Path(argv[0]).name, *(word for word in argv[1:] if "=" not in word)]
    return f"`{' '.join(words)[:160]}`"


def _last_lines(text: str, count: int = 6) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:])[:1500] or "it printed nothing"


def environment_for(host: str) -> dict[str, str]:
    """Return our environment for a client of the engine at `host`; empty: the user's own choice."""
    chosen = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    return chosen | ({"DOCKER_HOST": host, "DOCKER_CONTEXT": ""} if host else {})
