"""The brokers of a point: which cluster, its topic, and what its page cache may hold."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource
from django.conf import settings

from bench.mensajes.factors import Setting
from bench.result import Say
from deploy.embedded import Stack, StackError
from deploy.embedded.waiting import wait_until
from kafka_bridge.brokers import client, topic_admin
from kafka_bridge.events.topics import Topic
from ventas.events import VENTAS

SECONDS: Final = 60.0
CGROUPS: Final = Path("/sys/fs/cgroup")
# Of cgroups in version 1 and 2: the folder, the file with the limit, and what means "no limit".
MEMORY: Final = (
    (CGROUPS / "memory", "memory.limit_in_bytes", "-1"),
    (CGROUPS, "memory.max", "max"),
)
DROP_CACHES: Final = Path("/proc/sys/vm/drop_caches")
PAGES_AND_INODES: Final = "3"


@contextmanager
def three_brokers(say: Say) -> Iterator[str]:
    """Run three brokers beside the benchmark's own servers; yield their addresses."""
    others = {name: url for name, url in os.environ.items() if name != "KAFKA_BOOTSTRAP_SERVERS"}
    with (
        tempfile.TemporaryDirectory(prefix="mamochi-bench-three-") as folder,
        Stack(Path(folder), brokers=3, environ=others, say=say) as stack,
    ):
        yield stack.kafka.url


@contextmanager
def using(addresses: str) -> Iterator[None]:
    """Let this process and the consumers that it starts use these brokers in the block."""
    before = settings.KAFKA_CLIENT_CONFIG["bootstrap.servers"]
    settings.KAFKA_CLIENT_CONFIG["bootstrap.servers"] = addresses
    client.forget_clients()
    try:
        yield
    finally:
        settings.KAFKA_CLIENT_CONFIG["bootstrap.servers"] = before
        client.forget_clients()


def remake_topic(setting: Setting) -> None:
    """Delete the topic of sales with its messages, and make it again as the point wants it."""
    admin = client.admin()
    if VENTAS.name in admin.list_topics(timeout=SECONDS).topics:
        admin.delete_topics([VENTAS.name])[VENTAS.name].result()
        wait_until(lambda: VENTAS.name not in admin.list_topics(timeout=SECONDS).topics, SECONDS, what="no topic")
    others = [topic for topic in topic_admin.declared_topics() if topic.name != VENTAS.name]
    topic_admin.create_topics([*others, Topic(name=VENTAS.name, partitions=setting.partitions)])
    entry = ConfigEntry("min.insync.replicas", str(setting.insync), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, VENTAS.name, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result()


@contextmanager
def limited_memory(pids: Callable[[], list[int]], megabytes: int) -> Iterator[None]:
    """Let the processes keep so many MB of new memory and file pages; 0: no limit.

    A cgroup of the benchmark's own does that, which only root can make. Raises StackError.
    """
    if not megabytes:
        yield
        return
    parent, limit, none = _memory_controller()
    group = parent / f"mamochi-bench-{os.getpid()}"
    own = {pid: _group_of(pid, parent) for pid in pids()}
    try:
        group.mkdir()
        (group / limit).write_text(str(megabytes * 2**20))
        for pid in own:
            (group / "cgroup.procs").write_text(str(pid))
        yield
    except PermissionError as error:
        raise StackError("The factor `cache` limits a broker's memory by a cgroup: run as root.") from error
    finally:
        with suppress(OSError):
            (group / limit).write_text(none)
            for pid, before in own.items():
                (before / "cgroup.procs").write_text(str(pid))
            group.rmdir()


def _memory_controller() -> tuple[Path, str, str]:
    for parent, limit, none in MEMORY:
        if (parent / "cgroup.procs").exists() and (parent / "memory.stat").exists():
            return parent, limit, none
    raise StackError("The factor `cache` needs the memory controller of cgroups, which this machine lacks.")


def _group_of(pid: int, parent: Path) -> Path:
    """Return the folder of the process's own group below `parent`."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("memory", ""):
            return parent / path.lstrip("/")
    return parent


def empty_page_cache() -> None:
    """Write what is not yet on the disk, and forget the pages of all files. Raises StackError."""
    os.sync()
    try:
        DROP_CACHES.write_text(PAGES_AND_INODES)
    except PermissionError as error:
        raise StackError("The factor `cache` empties the page cache: run as root.") from error
