"""Libraries that stand between a process and the kernel (LD_PRELOAD). Needs a C compiler.

Each reads a number from a file that the process has mapped, so that a process that runs is changed
by writing that file.
"""

import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

COMPILER: Final = shutil.which("cc")
NANOSECONDS: Final = 1_000_000_000
PRELOAD: Final = "LD_PRELOAD"

Variables = Callable[[str], Mapping[str, str]]  # those of the process of that name, as Stack(own=) wants them


class Numbers:
    """A library, and the file of each process, in a folder.

    `variable` tells the process where its file is.
    """

    def __init__(self, folder: Path, source: str, variable: str) -> None:
        self.folder, self.variable = folder, variable
        folder.mkdir(parents=True, exist_ok=True)
        path = Path(__file__).with_name(source)
        self.library = folder / f"{path.stem}.so"
        if COMPILER:
            command = [COMPILER, "-O2", "-shared", "-fPIC", "-o", str(self.library), str(path), "-ldl"]
            subprocess.run(command, check=True)

    def variables(self, name: str) -> dict[str, str]:
        """Return the variables of the process, which has a file by now."""
        return {PRELOAD: str(self.library), self.variable: str(self.folder / name)}

    def write(self, name: str, seconds: float) -> None:
        """Write this process's number."""
        path = self.folder / name
        with path.open("r+b" if path.exists() else "xb") as file:
            file.write(struct.pack("q", int(seconds * NANOSECONDS)))


def together(*sources: Variables) -> Variables:
    """Return the variables of several libraries: a process loads all of them."""

    def variables(name: str) -> dict[str, str]:
        parts = [source(name) for source in sources]
        merged = {key: value for part in parts for key, value in part.items()}
        libraries = [part[PRELOAD] for part in parts if PRELOAD in part]
        return {**merged, PRELOAD: ":".join(libraries)} if libraries else merged

    return variables
