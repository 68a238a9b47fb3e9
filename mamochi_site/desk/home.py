"""The admin's home: what waits for the person who looks, by permission."""

from typing import Any, cast

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from gremio.desk import age
from inscripciones.admin import desk as enrolment
from inscripciones.models import Usuario
from mamochi_site.desk import engine
from stock.admin import desk as carts
from ventas.admin import desk as accounts

WAITING = (enrolment.waiting, carts.waiting, accounts.waiting, engine.waiting)
PANELS = (enrolment.panels, carts.panels, accounts.panels)


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Return the context of the home page (unfold's DASHBOARD_CALLBACK)."""
    user, now = cast(Usuario, request.user), timezone.now()
    return {
        **context,
        "title": "Inicio",
        "now": now,
        "health": engine.health(user),
        "waiting": [(waiting, age(waiting, now)) for source in WAITING for waiting in source(user, now)],
        "panels": [panel for source in PANELS for panel in source(user, now)],
        "search_url": _search_url(user),
    }


def _search_url(user: Usuario) -> str:
    may_search = user.has_perm("inscripciones.view_maestro")
    return reverse("admin:inscripciones_maestro_changelist") if may_search else ""
