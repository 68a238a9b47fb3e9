"""Take the pictures of the admin in docs/pictures, on a phone and on a desk.

Run `python -m scripts.pictures`. The servers, the rows and the pages are real; the clock stands at
an afternoon, so that the day has figures. Look at each picture before you commit it.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import make_server

from deploy.embedded import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER: Final = Path(__file__).parent.parent / "docs" / "pictures"
NOW: Final = datetime(2026, 11, 26, 19, 20, tzinfo=UTC)  # Thursday, 16:20 in Chile
WINDOWS: Final = {"escritorio": (1_280, 900), "celular": (390, 844)}
COLOURS: Final = 64  # of a picture: enough for pages without photographs
ROLES: Final = {"revisora": "Revisores", "distribuidor": "Distribuidores", "contadora": "Contadores", "operadora": ""}


def main() -> int:
    """Take the pictures and print their names."""
    with tempfile.TemporaryDirectory(prefix="mamochi-pictures-") as folder:
        stack = Stack(Path(folder), durable=False)
        os.environ.update(stack.environment(), DEBUG="true", DJANGO_SETTINGS_MODULE="mamochi_site.settings")
        with stack:
            sessions, paths = prepare()
            FOLDER.mkdir(exist_ok=True)
            with serving() as url, browsing() as browser:
                for name, (role, path) in paths.items():
                    for window in WINDOWS:
                        take(browser, url + path, sessions[role], window, FOLDER / f"{name}-{window}.png")
    return 0


def prepare() -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """Make the guild; return a session by role, and by picture the role and the address."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client
    from time_machine import travel

    from tests.support.guild import populate
    from tests.support.staff import make_staff

    call_command("migrate", verbosity=0)
    call_command("create_topics", stdout=StringIO())
    travel(NOW).start()
    maestros = populate(NOW)
    sessions = {}
    for role, group in ROLES.items():
        client = Client()
        client.force_login(
            make_staff(role, group, is_superuser=not group), backend="django.contrib.auth.backends.ModelBackend"
        )
        sessions[role] = client.cookies["sessionid"].value
    homes = {f"inicio-{role}": (role, "/admin/") for role in ROLES}
    pages = {
        "inscripciones": ("revisora", "/admin/inscripciones/inscripcion/"),
        "maestro": ("operadora", f"/admin/inscripciones/maestro/{maestros[0].pk}/change/"),
        "carros": ("distribuidor", "/admin/stock/carro/"),
        "semanas": ("contadora", "/admin/ventas/semana/"),
        "mensajes": ("operadora", "/admin/kafka_bridge/deadletter/"),
    }
    return sessions, {**homes, **pages}


@contextmanager
def serving() -> Iterator[str]:
    """Serve the site in a thread, where the clock stands too; yield its address."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.wsgi import get_wsgi_application

    server = make_server("127.0.0.1", 0, StaticFilesHandler(get_wsgi_application()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@contextmanager
def browsing() -> Iterator["Browser"]:
    from tests.support.browser import chromium

    with chromium() as browser:
        yield browser


def take(browser: "Browser", url: str, session: str, window: str, path: Path) -> None:
    """Take a picture of a page, with few colours so that the file is small."""
    from PIL import Image

    width, height = WINDOWS[window]
    page = browser.new_page(locale="es-CL", viewport={"width": width, "height": height})
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": url}])
    page.goto(url)
    page.locator("html[data-accessible]").wait_for(state="attached")
    # The window as high as the page: what sticks to its lower edge is then at the end.
    page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
    picture = Image.open(BytesIO(page.screenshot(full_page=True)))
    picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)
    page.close()
    print(f"{path.name}: {path.stat().st_size // 1_000} kB")


if __name__ == "__main__":
    sys.exit(main())
