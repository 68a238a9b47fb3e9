"""Apache Kafka's jars from Maven Central, pinned and verified by a committed lock file.

To change the version of Kafka, edit ENDPOINT and run `python -m deploy.embedded.jars`, which
resolves the jars again and rewrites the lock. In all other cases the jars that the lock names are
downloaded and checked against the lock's SHA-256.
"""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import truststore
from jgo.env import LockedDependency, LockFile
from jgo.maven import MavenContext
from jgo.parse import Endpoint

from deploy.embedded.errors import StackError

# Without an SLF4J binding the broker logs nothing. With log4j's, kafka-clients silently resolves to
# 3.9.1.
ENDPOINT = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"
LOCK = Path(__file__).with_name("kafka.lock.toml")
# In the checkout, so that no HOME is needed and deleting the clone deletes the jars.
CACHE = Path(__file__).parents[2] / ".mamochi" / "jars"


def classpath(
    *,
    lock: Path = LOCK,
    cache: Path = CACHE,
    say: Callable[[str], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    what: str = "Apache Kafka",
) -> list[Path]:
    """Return the paths of the verified jars; download missing ones first.

    `what` names them in messages. Raises StackError when Maven Central cannot be reached, or when a
    jar differs from the lock's.
    """
    locked = LockFile.load(lock)
    _refuse_without_checksums(locked, lock)
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache):
        if missing := _missing(locked, cache):
            say(f"downloading {what} ({len(missing)} jars, about 44 MB; once)")
            _download(missing, cache, cancelled, what)
    _refuse_mismatches(locked, lock, cache, what)
    return [_path(cache, dependency) for dependency in locked.dependencies]


@contextmanager
def _one_at_a_time(cache: Path) -> Iterator[None]:
    """Lock the cache, so that two stacks that start together do not share half-written files."""
    with (cache / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _path(cache: Path, dependency: LockedDependency) -> Path:
    folder = cache.joinpath(*dependency.groupId.split("."), dependency.artifactId, dependency.version)
    return folder / f"{dependency.artifactId}-{dependency.version}.{dependency.packaging}"


def _missing(locked: LockFile, cache: Path) -> list[LockedDependency]:
    return [dependency for dependency in locked.dependencies if not _path(cache, dependency).exists()]


def _refuse_without_checksums(locked: LockFile, lock: Path) -> None:
    """Raise StackError for an entry without a checksum, which `verify_checksums` would skip."""
    bare = [dependency.artifactId for dependency in locked.dependencies if not dependency.sha256]
    if bare or not locked.dependencies:
        raise StackError(f"{lock} has no checksum for {bare or 'any jar'}: restore it from version control.")


def _refuse_mismatches(locked: LockFile, lock: Path, cache: Path, what: str) -> None:
    if errors := locked.verify_checksums(cache):
        raise StackError(
            f"The jars of {what} differ from the lock file's ({errors[0]}): restore {lock} from version "
            f"control; if the lock is unchanged, a jar was altered: delete {cache} and start again."
        )


def _download(wanted: Sequence[LockedDependency], cache: Path, cancelled: Callable[[], bool], what: str) -> None:
    """Download to a staging folder, then move each complete jar: the cache has no partial ones."""
    with TemporaryDirectory(dir=cache) as staging, _system_certificates(), ThreadPoolExecutor(8) as pool:
        context = MavenContext(repo_cache=Path(staging), timeout=30)
        try:
            list(pool.map(partial(_fetch, context, cache, cancelled), wanted))
        except (RuntimeError, OSError) as error:
            pool.shutdown(cancel_futures=True)
            raise StackError(
                f"{what} cannot be downloaded from Maven Central ({error}): check the network or the "
                "proxy (HTTPS_PROXY), or set KAFKA_BOOTSTRAP_SERVERS to brokers that already run."
            ) from error


def _fetch(context: MavenContext, cache: Path, cancelled: Callable[[], bool], dependency: LockedDependency) -> None:
    if cancelled():
        raise StackError("The download of Apache Kafka was cancelled.")
    project = context.project(dependency.groupId, dependency.artifactId)
    jar = project.at_version(dependency.version).artifact(packaging=dependency.packaging).resolve()
    target = _path(cache, dependency)
    target.parent.mkdir(parents=True, exist_ok=True)
    jar.replace(target)


@contextmanager
def _system_certificates() -> Iterator[None]:
    """Trust the certificates of the system's store, which a company's proxy may need."""
    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


def write_lock(lock: Path = LOCK, cache: Path = CACHE, endpoint: str = ENDPOINT) -> LockFile:
    """Resolve the endpoint again, transitively, and write the lock; review it before a commit."""
    context = MavenContext(repo_cache=cache)
    with _system_certificates():
        wanted = [context.create_dependency(replace(c, scope="compile")) for c in Endpoint.parse(endpoint).coordinates]
        direct, transitive = context.resolver.resolve(wanted)
        needed = [*direct, *(d for d in transitive if d.scope in ("compile", "runtime"))]
        locked = LockFile.from_resolved_dependencies(needed)
    locked.save(lock)
    return locked


if __name__ == "__main__":
    print(write_lock())
