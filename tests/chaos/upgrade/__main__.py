"""Roll out today's code under load while yesterday's runs.

    python -m tests.chaos.upgrade --dir FOLDER

Exit code 1 if a promise was broken; journal, final state and logs are in the folder.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import django
from rich.console import Console

from deploy.embedded import Stack
from deploy.embedded.ports import free_port
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import configure
from tests.support import yesterday

SETTINGS: Final = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "LOG_LEVEL": "INFO"}
SEED: Final = 49


def main() -> int:
    """Play the upgrade."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.upgrade", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="its folder; old data in it is removed")
    parser.add_argument("--yesterday", default=yesterday.version(), help="tag or commit (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    options.minutes = 0.0
    interrupt_on_termination()
    console = Console(width=140)
    tree = options.dir.resolve() / "yesterday"
    shutil.rmtree(tree, ignore_errors=True)
    yesterday.unpack(options.yesterday, tree)
    with Stack(options.dir, brokers=1, durable=False, fresh=True, say=print, environ={}) as stack:
        system = configure(stack, free_port(), SETTINGS, consumers=1)
        os.environ.update(system.environment)
        django.setup()
        from tests.chaos.upgrade.rolling import Rolling

        return 0 if Rolling(system, options, console, tree).play() else 1


if __name__ == "__main__":
    sys.exit(main())
