"""Volumes that are full or fail, and machines that lose their power. Mounting needs root.

Slow disks are in `slow.py`.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import psycopg

from deploy.embedded.kafka import Broker
from deploy.embedded.postgres import Postgres
from deploy.embedded.server import Server
from deploy.embedded.waiting import wait_until
from tests.chaos.faults import slow
from tests.chaos.faults.plan import Context, Plan

BEAT: Final = "celery-beat"
SIZE: Final = 2 * 2**30  # bytes of a volume; the image is a sparse file
READY_S: Final = 240.0
DETACHED_S: Final = 30.0
UNSYNCED_S: Final = 3.0  # what a broker wrote in these last seconds may be lost with its power
FILLED: Final = "filled"
FILLINGS: Final = 10
TORN_ROWS: Final = 200
WAL_PAGE: Final = 8_192
# Kafka waits for the disk before it acknowledges a change of the metadata, other than for messages.
SYNCED_LOG: Final = "__cluster_metadata-0"


def can_mount() -> bool:
    """Return True if this machine lets us make file systems and mount them."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None


class Volume:
    """A file system of its own for a server's folder (ext4, in a file)."""

    def __init__(self, server: Broker | Postgres, images: Path) -> None:
        self.server, self.folder = server, server.folder
        self.image = images / f"{server.process_name}.ext4"

    def place(self) -> None:
        """Stop the server, move its folder onto the volume, and start the server again."""
        self.server.stop()
        before = self.folder.with_name(f"{self.folder.name}.before")
        self.folder.rename(before)
        self.make()
        self.folder.mkdir()
        self.mount()
        (self.folder / "lost+found").rmdir()  # a broker takes every folder for a partition
        _run("cp", "-a", "--sparse=always", f"{before}/.", str(self.folder))
        shutil.rmtree(before)
        self.server.restart()

    def make(self) -> None:
        """Make an empty file system in the image."""
        self.image.parent.mkdir(parents=True, exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        _run("mkfs.ext4", "-q", "-m", "0", str(self.image))

    def mount(self) -> None:
        """Mount the volume; after an error of the file system it can only be read."""
        _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Unmount the volume, which no process may use any more.

        The kernel gives the loop device back a moment later. Until then it may write to the image.
        """
        _run("umount", str(self.folder))
        wait_until(lambda: not _run("losetup", "-j", str(self.image)).strip(), DETACHED_S, what="the volume is free")

    def fill(self) -> None:
        """Write a file that takes all that is free, while the server writes too."""
        with (self.folder / FILLED).open("wb") as file, suppress(OSError):  # no space left
            for _ in range(FILLINGS):
                free = os.statvfs(self.folder)
                os.posix_fallocate(
                    file.fileno(), file.seek(0, os.SEEK_END), max(free.f_frsize, free.f_bavail * free.f_frsize)
                )

    def empty(self) -> None:
        """Delete that file."""
        (self.folder / FILLED).unlink()

    def fail(self) -> None:
        """Let the kernel find an error in the file system: from then on it is read-only."""
        device = Path(_run("findmnt", "-no", "SOURCE", str(self.folder))).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """Check the file system as an operator does, and mount it again. The server is down."""
        self.unmount()
        checked = subprocess.run(["e2fsck", "-fy", str(self.image)], check=False, capture_output=True)
        if checked.returncode > 1:  # 1: it was repaired
            raise RuntimeError(checked.stdout.decode())
        self.mount()


def share(folder: Path) -> None:
    """Let what is unmounted below this folder be unmounted for every process, until `unmount_all`.

    A process on a host of its own has a copy of the mounts at its start, which would keep a volume
    busy.
    """
    _run("mount", "--bind", str(folder), str(folder))
    _run("mount", "--make-shared", str(folder))


def unmount_all(folder: Path) -> None:
    """Unmount every volume in the folder, and what was shared."""
    if not can_mount():
        return
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in reversed(mounted):  # the inner ones first
        if Path(place).is_relative_to(folder.resolve()):
            _run("umount", place)


class Volumes:
    """A volume for PostgreSQL and one for the first broker, for the length of a block."""

    def __init__(self, context: Context) -> None:
        self.stack = stack = context.system.stack
        images = stack.folder / "volumes"
        self.all = [Volume(stack.postgres, images), Volume(stack.kafka.brokers[0], images)]

    def place(self) -> None:
        """Move the folders of both servers, which are down for some seconds.

        Beat may not have connected yet, and ends if there is no database then; so it starts again.
        """
        self.stack.processes[BEAT].kill()
        share(self.stack.folder / "data")
        for volume in self.all:
            volume.place()
        self.stack.restart(BEAT)

    def unmount(self) -> None:
        """Unmount them when the stack has stopped."""
        for volume in self.all:
            if volume.folder.is_mount():
                volume.unmount()
        unmount_all(self.stack.folder)


def plans(context: Context) -> list[Plan]:
    """Return the faults of disks; without volumes, those that need none."""
    brokers = context.system.stack.kafka.brokers
    found = [Plan("torn WAL page of PostgreSQL", partial(torn_wal, context))]
    if len(brokers) > 1:  # the only broker would lose what it acknowledged
        found.append(Plan("power loss of a broker", partial(power_lost, context)))
    for volume in context.volumes.all if context.volumes else []:
        name = "PostgreSQL" if volume.server is context.system.stack.postgres else "a broker"
        found += [
            Plan(f"full disk of {name}", partial(full, volume)),
            Plan(f"disk of {name} fails", partial(failed, volume)),
        ]
    return [*found, *slow.plans(context)]


@contextmanager
def full(volume: Volume) -> Iterator[str]:
    """Leave no free block; then free all, and start the server again if it has ended."""
    volume.fill()
    yield volume.server.process_name
    volume.empty()
    if not volume.server.process.running:
        volume.server.restart(wait=False)
    _await(volume.server)


@contextmanager
def failed(volume: Volume) -> Iterator[str]:
    """Let the file system fail; then repair it, and start the server again."""
    volume.fail()
    yield volume.server.process_name
    volume.server.kill()
    volume.repair()
    volume.server.restart(wait=False)
    _await(volume.server)


@contextmanager
def power_lost(context: Context) -> Iterator[str]:
    """Kill a broker, and let a random part of what it wrote in the last seconds be missing."""
    broker = context.chance.choice(context.system.stack.kafka.brokers)
    _run("sync", "-f", str(broker.folder))
    synced = _segments(broker)
    time.sleep(UNSYNCED_S)  # meanwhile it acknowledges what its disk does not have
    broker.kill()
    lost = 0
    for segment, size in _segments(broker).items():
        kept = context.chance.randint(min(synced.get(segment, 0), size), size)
        os.truncate(segment, kept)
        lost += size - kept
    yield f"{broker.process_name}, {lost} bytes lost"
    broker.restart(wait=False)
    _await(broker)


def _segments(broker: Broker) -> dict[Path, int]:
    """Return the segments of messages on the broker's disk, with their sizes."""
    sizes = {}
    for path in (broker.folder / "log").glob("*/*.log"):
        if path.parent.name != SYNCED_LOG:
            with suppress(FileNotFoundError):  # its topic was deleted just now
                sizes[path] = path.stat().st_size
    return sizes


@contextmanager
def torn_wal(context: Context) -> Iterator[str]:
    """Kill PostgreSQL while it writes, and leave half of the last page that was not synced.

    The application is frozen meanwhile, and what is torn was written by a session that does not
    wait for the disk. So nothing that the application knows to be committed is in that page.
    """
    server, applications = context.system.stack.postgres, context.system.applications.values()
    for process in applications:
        process.pause()
    try:
        synced = _write_unsynced(server)
        server.kill()
        torn = _tear(server.folder, synced, context)
    finally:
        for process in applications:
            process.resume()
    yield torn
    server.restart(wait=False)
    _await(server)


def _write_unsynced(server: Postgres) -> tuple[str, int]:
    """Write rows that are not synced; return the segment and offset up to which all is synced."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("CREATE TABLE IF NOT EXISTS torn (text text)")
        time.sleep(1)  # the WAL writer syncs each 0.2 s what others wrote
        sql = "SELECT file_name, file_offset FROM pg_walfile_name_offset(pg_current_wal_flush_lsn())"
        [(segment, offset)] = connection.execute(sql).fetchall()
        for _ in range(TORN_ROWS):
            connection.execute("INSERT INTO torn SELECT repeat('x', 100)")
    return str(segment), int(offset)


def _tear(folder: Path, synced: tuple[str, int], context: Context) -> str:
    """Write noise over the rest of a page behind what is synced."""
    segment, offset = synced
    at = offset + context.chance.randint(1, TORN_ROWS * 100)
    end = (at // WAL_PAGE + 1) * WAL_PAGE
    with (folder / "pg_wal" / segment).open("r+b") as file:
        file.seek(at)
        file.write(context.chance.randbytes(end - at))
    return f"{segment} from byte {at}, {at - offset} behind what is synced"


def _await(server: Server) -> None:
    server.process.wait_ready(server.ready, READY_S)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
