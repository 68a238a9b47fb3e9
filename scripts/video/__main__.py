"""`python -m scripts.video`: start the system, record the story, write the film."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import django

from deploy.embedded import Stack, StackError
from deploy.embedded.signals import interrupt_on_termination
from mamochi_site.local.system import CHECKOUT, DEFAULT_PORT, running_system
from scripts.video.film import BOOT, FilmFailed
from scripts.video.movie import NAME, write
from scripts.video.terminal import Terminal
from scripts.video.windows import NoBrowser, browsing

FOLDER: Final = CHECKOUT / "docs" / "video"
QUICK_READING: Final = 0.6  # of the time of a slow reader: only CI reads the short film
INTERRUPTED: Final = 130  # as shells have it: 128 + SIGINT


def main() -> int:
    """Record the film and return the exit code."""
    options = _options()
    interrupt_on_termination()
    try:
        _record(options)
    except (StackError, FilmFailed, NoBrowser) as error:
        _say(f"./dev video: {error}")
        return 1
    except KeyboardInterrupt:
        _say("Interrupted: everything is stopped.")
        return INTERRUPTED
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev video",
        description="Record the running system: a terminal, a maestro's phone and the admin, into an MP4 with its "
        "captions and its poster. Takes about six minutes. Needs Debian's Chromium. Exit code: 0, or 1 if something "
        "that a caption says did not happen.",
    )
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the film (default: docs/video)")
    parser.add_argument("--short", action="store_true", help="only up to the first mail, with one broker: for CI")
    return parser.parse_args()


def _record(options: argparse.Namespace) -> None:
    if os.environ.get("EMAIL_URL"):
        raise StackError("The film shows the e-mails that arrive, so it needs its own mailbox: unset EMAIL_URL.")
    terminal = Terminal(BOOT.columns)
    with tempfile.TemporaryDirectory(prefix="mamochi-video-") as folder:
        began = time.time()
        stack = Stack(
            Path(folder),
            brokers=1 if options.short else 3,
            say=lambda text: terminal.console.print(f"  {text}", markup=False, soft_wrap=True),
        )
        with running_system(stack, port=DEFAULT_PORT) as system:
            ready = time.time()
            os.environ.update(system.environment)
            django.setup()
            from scripts.video.story import tell
            from scripts.video.studio import Studio, working

            reading = QUICK_READING if options.short else 1.0
            with browsing() as browser, working(Studio(system, terminal, browser, Path(folder), reading)) as studio:
                tell(studio, began, ready, short=options.short)
                film = studio.film
    _say("writing the film")
    seconds = write(film, options.output)
    size = (options.output / f"{NAME}.mp4").stat().st_size
    _say(f"{options.output}: {seconds:.0f} s, {size // 1_000} kB")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
