"""A maestro's page in the admin, with all that the apps have of the maestro."""

from typing import Any, ClassVar, cast

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from gremio.desk import Panel
from inscripciones.admin import desk as enrolment
from inscripciones.admin.maestros import MaestroAdmin
from inscripciones.models import Maestro, Usuario
from stock.admin import desk as carts
from ventas.admin import desk as accounts

admin.site.unregister(Maestro)


@admin.register(Maestro)
class FichaAdmin(MaestroAdmin):
    """The page of inscripciones, and below it what the other apps add to it."""

    change_form_outer_after_template: ClassVar[str] = "mamochi_site/ficha.html"

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        if maestro := kwargs.get("obj"):
            context = {**context, "panels": self._panels(request, maestro)}
        return super().render_change_form(request, context, *args, **kwargs)

    def _panels(self, request: HttpRequest, maestro: Maestro) -> list[Panel]:
        user, now = cast(Usuario, request.user), timezone.now()
        return [
            *enrolment.of_maestro(user, maestro, now),
            *carts.of_maestro(user, maestro.pk, now),
            *accounts.of_maestro(user, maestro.pk, now),
        ]
