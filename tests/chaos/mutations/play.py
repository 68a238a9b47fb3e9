"""Play one scenario on the tree in which this file is, and leave journal and final state.

`__main__.py` starts it in copies: python -m tests.chaos.mutations.play SCENARIO --dir FOLDER
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

import django
from rich.console import Console

from deploy.embedded import Stack
from deploy.embedded.ports import free_port
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import running_system
from tests.chaos.mutations.bugs import SCENARIOS

SETTINGS: Final = {"REVISION_AUTOMATICA": "true", "LIMITE_INSCRIPCIONES": "", "LOG_LEVEL": "INFO"}
SEED: Final = 39


def main() -> int:
    """Play the scenario; exit code 1 if something did not arrive, or a week did not close."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--dir", type=Path, required=True, help="its folder; old data in it is removed")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    scenario = SCENARIOS[options.scenario]
    options.minutes = scenario.seconds / 60
    interrupt_on_termination()
    console = Console(width=140)
    stack = Stack(options.dir, brokers=1, durable=False, fresh=True, say=print, environ={})
    # Two runs at once must not try the same port.
    with running_system(stack, port=free_port(), settings=SETTINGS) as system:
        os.environ.update(system.environment)
        django.setup()
        from tests.chaos.mutations.short_run import ShortRun

        return 0 if ShortRun(system, options, console, scenario).play() else 1


if __name__ == "__main__":
    sys.exit(main())
