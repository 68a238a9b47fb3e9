"""The admin's menu: by work, each page once, only those that the person may open."""

from typing import Any, Final

from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

# By title of the group: label of the model and Material symbol.
GROUPS: Final = {
    "Inscripciones": {
        "inscripciones.Inscripcion": "fact_check",
        "inscripciones.Maestro": "badge",
        "inscripciones.Envio": "outgoing_mail",
        "inscripciones.Comprobante": "receipt",
        "inscripciones.Decision": "rule",
    },
    "Carros": {
        "stock.Carro": "shopping_cart",
        "stock.Aviso": "notifications",
        "stock.Movimiento": "swap_vert",
        "stock.Existencia": "inventory_2",
        "stock.Anulacion": "assignment_return",
        "stock.Insumo": "grain",
    },
    "Cuentas": {
        "ventas.Semana": "date_range",
        "ventas.ReporteSemanal": "mail",
        "ventas.Venta": "point_of_sale",
        "ventas.Anulacion": "undo",
        "ventas.Cuenta": "account_balance_wallet",
        "ventas.Producto": "local_cafe",
        "ventas.Insumo": "payments",
        "ventas.CambioDeCatalogo": "history",
    },
    "Sistema": {
        "kafka_bridge.OverviewPage": "monitoring",
        "kafka_bridge.LookupPage": "search",
        "kafka_bridge.DeadLetter": "report",
        "kafka_bridge.OutboxMessage": "outbox",
        "kafka_bridge.ConsumerOffset": "linear_scale",
        "django_celery_beat.PeriodicTask": "schedule",
        "django_celery_beat.IntervalSchedule": "timer",
        "django_celery_beat.CrontabSchedule": "calendar_month",
        "django_celery_beat.ClockedSchedule": "event",
        "django_celery_beat.SolarSchedule": "wb_sunny",
        "inscripciones.Usuario": "person",
        "auth.Group": "group",
        "axes.AccessAttempt": "lock",
    },
}
# Models of libraries, whose names say little to staff.
NAMES: Final = {
    "kafka_bridge.LookupPage": "Seguir un evento",
    "django_celery_beat.IntervalSchedule": "Cada cuánto (intervalos)",
    "django_celery_beat.CrontabSchedule": "A qué hora (calendarios)",
    "django_celery_beat.ClockedSchedule": "Una sola vez (momentos)",
    "django_celery_beat.SolarSchedule": "Según el sol",
    "auth.Group": "Grupos y permisos",
    "axes.AccessAttempt": "Claves equivocadas",
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups and their items, in unfold's form (SIDEBAR in settings)."""
    home = {"title": "Inicio", "icon": "home", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [home]}]
    groups += [{"title": title, "items": _items(request, models)} for title, models in GROUPS.items()]
    return [group for group in groups if group["items"]]


def _items(request: HttpRequest, models: dict[str, str]) -> list[dict[str, str]]:
    found = ((label, apps.get_model(label), icon) for label, icon in models.items())
    return [_item(label, model, icon) for label, model, icon in found if _may_open(request, model)]


def _may_open(request: HttpRequest, model: type[Model]) -> bool:
    return admin.site.get_model_admin(model).has_view_permission(request)


def _item(label: str, model: type[Model], icon: str) -> dict[str, str]:
    name = str(NAMES.get(label) or model._meta.verbose_name_plural)
    link = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return {"title": name[:1].upper() + name[1:], "icon": icon, "link": link}
