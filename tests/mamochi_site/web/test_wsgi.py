"""The web process: what it has loaded before its first request."""

import subprocess
import sys

import pytest

FROZEN = """
import gc, sys
import mamochi_site.wsgi
print(gc.get_freeze_count(), len(gc.get_objects()), "ventas.api.views" in sys.modules)
"""


@pytest.mark.slow
def test_the_collector_passes_over_what_stays() -> None:
    """A full collection of everything would hold up a request for 0.1 s."""
    done = subprocess.run([sys.executable, "-c", FROZEN], capture_output=True, text=True, check=True)
    frozen, collected, views = done.stdout.split()
    assert int(frozen) > 100_000
    assert int(collected) < 5_000
    assert views == "True"
