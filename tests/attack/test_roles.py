"""Permissions of every role on every address, from one table; an address without a row fails.

The table holds HTTP statuses. 401: no valid token; 403: not for this role; 404: somebody else's;
302 in the admin: log in first.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from inscripciones import credenciales
from inscripciones.formulario import ids
from inscripciones.models import Usuario
from inscripciones.seed import GRUPO as REVISORES
from kafka_bridge.brokers import topic_admin
from mamochi_site.web.middleware import NOT_A_PAGE_POLICY
from stock.seed import GRUPO as DISTRIBUIDORES
from tests.attack.routes import all_views, methods_of
from tests.support.people import make_form
from ventas import calendario
from ventas.catalogo import memoria
from ventas.events import VentaRegistrada
from ventas.models import Venta
from ventas.seed import GRUPO as CONTADORES

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
OUTSIDE = ("anonymous", "maestro", "other", "revoked", "session")
STAFF = ("reviewer", "distributor", "accountant", "staff", "root")
ROLES = (*OUTSIDE, *STAFF)

# Anonymous; a maestro's token; another's; a revoked one; the maestro's session; the groups
# Revisores, Distribuidores and Contadores; staff without any permission; superuser.
TABLE = """
                                                    anon maes othr rvkd sess revi dist cont staf root
GET    /                                            302  302  302  302  302  302  302  302  302  302
GET    /api/v1/                                     200  200  200  401  200  200  200  200  200  200
GET    /api/v1/inscripciones/                       200  200  200  401  200  200  200  200  200  200
POST   /api/v1/inscripciones/                       202  202  202  401  202  202  202  202  202  202
GET    /api/v1/inscripciones/{inscripcion}/         200  200  200  401  200  200  200  200  200  200
GET    /api/v1/tokens/                              401  200  200  401  200  403  403  403  403  403
DELETE /api/v1/tokens/                              401  204  204  401  204  403  403  403  403  403
POST   /api/v1/tokens/anular/                       401  204  204  401  204  403  403  403  403  403
POST   /api/v1/tokens/rotar/                        401  201  201  401  201  403  403  403  403  403
GET    /api/v1/entrar/                              200  200  200  200  200  200  200  200  200  200
POST   /api/v1/salir/                               302  302  302  302  302  302  302  302  302  302
GET    /api/v1/ventas/                              401  200  200  401  200  403  403  403  403  403
POST   /api/v1/ventas/                              401  202  202  401  202  403  403  403  403  403
GET    /api/v1/ventas/resumen/                      401  200  200  401  200  403  403  403  403  403
GET    /api/v1/ventas/{venta}/                      401  200  404  401  200  403  403  403  403  403
POST   /api/v1/ventas/{venta}/anular/               401  202  404  401  202  403  403  403  403  403
GET    /api/v1/correo-semanal/x/                    404  404  404  404  404  404  404  404  404  404
POST   /api/v1/correo-semanal/x/                    404  404  404  404  404  404  404  404  404  404
GET    /api/v1/productos/                           401  200  200  401  200  403  403  403  403  403
GET    /api/v1/stock/                               401  200  200  401  200  403  403  403  403  403
GET    /api/v1/stock/movimientos/                   401  200  200  401  200  403  403  403  403  403
GET    /api/v1/stock/avisos/                        401  200  200  401  200  403  403  403  403  403
POST   /api/v1/stock/avisos/                        401  202  202  401  202  403  403  403  403  403
GET    /api/schema/                                 200  200  200  401  200  200  200  200  200  200
GET    /api/docs/                                   200  200  200  401  200  200  200  200  200  200
GET    /api/asyncapi/                               200  200  200  200  200  200  200  200  200  200
GET    /api/eventos/                                200  200  200  200  200  200  200  200  200  200
GET    /health/live                                 200  200  200  200  200  200  200  200  200  200
GET    /health/ready                                200  200  200  200  200  200  200  200  200  200
GET    /metrics                                     200  200  200  200  200  200  200  200  200  200
GET    /admin/                                      302  302  302  302  302  200  200  200  200  200
GET    /admin/login/                                200  200  200  200  200  302  302  302  302  302
GET    /admin/logout/                               302  302  302  302  302  405  405  405  405  405
GET    /admin/search/                               302  302  302  302  302  200  200  200  200  200
GET    /admin/password_change/                      302  302  302  302  302  200  200  200  200  200
GET    /admin/autocomplete/                         302  302  302  302  302  403  403  403  403  403
GET    /admin/jsi18n/                               302  302  302  302  302  200  200  200  200  200
GET    /admin/r/1/1/                                302  302  302  302  302  404  404  404  404  404
GET    /admin/ventas/                               302  302  302  302  302  404  404  200  404  200
GET    /admin/nada                                  302  302  302  302  302  404  404  404  404  404
GET    /admin/kafka_bridge/overviewpage/data/       302  302  302  302  302  403  403  403  403  200
GET    /admin/kafka_bridge/deadletter/1/replay/     302  302  302  302  302  403  403  403  403  404
GET    /admin/kafka_bridge/deadletter/1/discard/    302  302  302  302  302  403  403  403  403  404
GET    /admin/inscripciones/inscripcion/numeros/    302  302  302  302  302  200  403  403  403  200
GET    /admin/inscripciones/inscripcion/1/aprobar/  302  302  302  302  302  400  403  403  403  400
GET    /admin/inscripciones/inscripcion/1/rechazar/ 302  302  302  302  302  400  403  403  403  400
GET    /admin/inscripciones/maestro/1/corregir-correo/ 302 302 302  302  302  400  403  403  403  400
GET    /admin/inscripciones/usuario/0/password/     302  302  302  302  302  403  403  403  403  404
GET    /admin/stock/carro/1/corregir/               302  302  302  302  302  403  400  403  403  400
GET    /admin/ventas/reportesemanal/export/         302  302  302  302  302  403  403  200  403  200
"""

# What staff may do with rows: view, add, change, delete. The others must log in first.
MODELS = """
                                     revi dist cont staf root
auth.Group                           -    -    -    -    vacd
axes.AccessAttempt                   -    -    -    -    vd
django_celery_beat.ClockedSchedule   -    -    -    -    vacd
django_celery_beat.CrontabSchedule   -    -    -    -    vacd
django_celery_beat.IntervalSchedule  -    -    -    -    vacd
django_celery_beat.PeriodicTask      -    -    -    -    vacd
django_celery_beat.SolarSchedule     -    -    -    -    vacd
inscripciones.Comprobante            v    -    -    -    v
inscripciones.Decision               -    -    -    -    v
inscripciones.Envio                  v    -    -    -    v
inscripciones.Inscripcion            v    -    -    -    v
inscripciones.Maestro                v    -    -    -    v
inscripciones.Usuario                -    -    -    -    vacd
kafka_bridge.ConsumerOffset          -    -    -    -    v
kafka_bridge.DeadLetter              -    -    -    -    v
kafka_bridge.LookupPage              -    -    -    -    v
kafka_bridge.OutboxMessage           -    -    -    -    v
kafka_bridge.OverviewPage            -    -    -    -    v
stock.Anulacion                      -    v    -    -    v
stock.Aviso                          -    v    -    -    v
stock.Carro                          -    v    -    -    v
stock.Existencia                     -    v    -    -    v
stock.Insumo                         -    v    -    -    vacd
stock.Movimiento                     -    v    -    -    v
ventas.Anulacion                     -    -    v    -    v
ventas.CambioDeCatalogo              -    -    v    -    v
ventas.Cuenta                        -    -    v    -    v
ventas.Insumo                        -    -    vc   -    vac
ventas.Producto                      -    -    vc   -    vac
ventas.ReporteSemanal                -    -    v    -    v
ventas.Semana                        -    -    v    -    v
ventas.Venta                         -    -    v    -    v
"""
# The actions that staff may apply to rows of a list.
ACTIONS = """
                                                   revi dist cont staf root
auth.Group.delete_selected                         -    -    -    -    x
axes.AccessAttempt.delete_selected                 -    -    -    -    x
django_celery_beat.ClockedSchedule.delete_selected -    -    -    -    x
django_celery_beat.CrontabSchedule.delete_selected -    -    -    -    x
django_celery_beat.IntervalSchedule.delete_selected -    -    -    -    x
django_celery_beat.PeriodicTask.disable_tasks      -    -    -    -    x
django_celery_beat.PeriodicTask.enable_tasks       -    -    -    -    x
django_celery_beat.PeriodicTask.run_tasks          -    -    -    -    x
django_celery_beat.PeriodicTask.toggle_tasks       -    -    -    -    x
django_celery_beat.PeriodicTask.delete_selected    -    -    -    -    x
django_celery_beat.SolarSchedule.delete_selected   -    -    -    -    x
inscripciones.Envio.reintentar                     x    -    -    -    x
inscripciones.Inscripcion.aprobar_elegidas         x    -    -    -    x
inscripciones.Inscripcion.rechazar_elegidas        x    -    -    -    x
inscripciones.Maestro.anular                       x    -    -    -    x
inscripciones.Maestro.dar_de_baja                  x    -    -    -    x
inscripciones.Maestro.reactivar                    x    -    -    -    x
inscripciones.Maestro.reenviar                     x    -    -    -    x
inscripciones.Usuario.delete_selected              -    -    -    -    x
kafka_bridge.DeadLetter.discard_selected           -    -    -    -    x
kafka_bridge.DeadLetter.replay_selected            -    -    -    -    x
kafka_bridge.OutboxMessage.discard                 -    -    -    -    x
kafka_bridge.OutboxMessage.send_again              -    -    -    -    x
stock.Insumo.delete_selected                       -    -    -    -    x
ventas.ReporteSemanal.export_admin_action          -    -    x    -    x
ventas.ReporteSemanal.reenviar                     -    -    x    -    x
"""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ROWS = [line.split() for line in TABLE.strip().splitlines()[1:]]
MODEL_ROWS = [line.split() for line in MODELS.strip().splitlines()[1:]]
ACTION_ROWS = [line.split() for line in ACTIONS.strip().splitlines()[1:]]
BODIES = {"/api/v1/inscripciones/": make_form(), "/api/v1/ventas/": {"producto": "mediano", "cantidad": 1}}
OF_A_MODEL = re.compile(r"/admin/\w+/\w+/(add/|<path:object_id>/((change|delete|history)/)?)?")


@dataclass(frozen=True)
class World:
    """Return a sale, an enrolment, and a client for each role."""

    venta_id: UUID
    inscripcion_id: UUID
    clients: dict[str, APIClient]


def with_token(user: Usuario) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {credenciales.emitir(user)}")
    return client


def with_session(user: Usuario) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


def a_maestro() -> Usuario:
    return Usuario.objects.create_user(username=str(uuid4()), maestro_id=uuid4())


def staff(*groups: str) -> Usuario:
    user = Usuario.objects.create_user(username=str(uuid4()), is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


def a_sale_of(maestro_id: UUID) -> UUID:
    venta_id, now = uuid4(), timezone.now()
    Venta.objects.create(
        id=VentaRegistrada.derive_id(maestro_id, venta_id),
        venta_id=venta_id,
        maestro_id=maestro_id,
        producto="mediano",
        cantidad=1,
        precio_unitario=2_000,
        costo_unitario=610,
        vendida_en=now,
        dia=calendario.dia_en_chile(now),
        registrada_en=now,
        semana_contable=calendario.semana_de(now),
    )
    return venta_id


@pytest.fixture
def world(kafka: str, settings: Settings) -> World:
    settings.LIMITE_INSCRIPCIONES = settings.LIMITE_ENTRADAS = ""
    topic_admin.create_topics(topic_admin.declared_topics())
    memoria.olvidar()
    maestro = a_maestro()
    assert maestro.maestro_id is not None
    revoked = a_maestro()
    gone = with_token(revoked)
    credenciales.revocar(revoked)
    token = with_token(maestro)
    clients = {
        "anonymous": APIClient(),
        "maestro": token,
        "other": with_token(a_maestro()),
        "revoked": gone,
        "session": with_session(maestro),  # after the token, because a new token ends older sessions
        "reviewer": with_session(staff(REVISORES)),
        "distributor": with_session(staff(DISTRIBUIDORES)),
        "accountant": with_session(staff(CONTADORES)),
        "staff": with_session(staff()),
        "root": with_session(Usuario.objects.create_superuser(username=str(uuid4()))),
    }
    return World(a_sale_of(maestro.maestro_id), ids.issue(make_form(), day=timezone.localdate()), clients)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row[:2]))
def test_roles_and_addresses(world: World, row: list[str]) -> None:
    method, path, *expected = row
    address = path.format(venta=world.venta_id, inscripcion=world.inscripcion_id)
    body = json.dumps(BODIES.get(path, {}))
    found = [_status(world.clients[role], method, address, body) for role in ROLES]
    assert dict(zip(ROLES, found, strict=True)) == dict(zip(ROLES, map(int, expected), strict=True))


def test_every_address_has_a_row() -> None:
    told = [(method, path) for method, path, *_ in ROWS]
    lacking = [
        (method, route) for route, method in _addresses() if not any(m == method and _is(p, route) for m, p in told)
    ]
    assert not lacking


@pytest.mark.parametrize("row", MODEL_ROWS, ids=lambda row: row[0])
def test_roles_and_admin_rows(world: World, row: list[str]) -> None:
    label, *expected = row
    found = {role: _may(client, apps.get_model(label)) for role, client in world.clients.items()}
    assert found == {**dict.fromkeys(OUTSIDE, "log in"), **dict(zip(STAFF, expected, strict=True))}


def test_every_admin_model_has_a_row() -> None:
    assert sorted(model._meta.label for model in admin.site._registry) == [label for label, *_ in MODEL_ROWS]


def test_roles_and_actions(world: World) -> None:
    expected = {
        role: {action for action, *may in ACTION_ROWS if may[column] == "x"} for column, role in enumerate(STAFF)
    }
    assert {role: _actions(world.clients[role]) for role in STAFF} == expected


def _actions(client: APIClient) -> set[str]:
    """Return the actions in the lists that this user may open."""
    request = RequestFactory().get("/")
    request.user = Usuario.objects.get(pk=client.session["_auth_user_id"])
    pages = [page for page in admin.site._registry.values() if page.has_view_permission(request)]
    return {f"{page.model._meta.label}.{name}" for page in pages for name in page.get_actions(request)}


def _status(client: APIClient, method: str, address: str, body: str) -> int:
    """Undo what one role did (revoking a token, for example) before the next one."""
    client.raise_request_exception = False
    savepoint = transaction.savepoint()
    answer = client.generic(method, address, body, content_type="application/json")
    transaction.savepoint_rollback(savepoint)
    _check_headers(address, answer.headers)
    return int(answer.status_code)


def _check_headers(address: str, headers: Mapping[str, str]) -> None:
    """Demand a content security policy; only the admin's may evaluate expressions."""
    assert {name: headers.get(name) for name in HEADERS} == HEADERS, address
    assert "camera=()" in headers["Permissions-Policy"]
    policy = headers["Content-Security-Policy"]
    if headers.get("Content-Type", "").startswith("text/html"):
        assert "script-src 'self'" in policy
        assert ("'unsafe-eval'" in policy) == address.startswith("/admin/")
    else:
        assert policy == NOT_A_PAGE_POLICY


def _addresses() -> Iterator[tuple[str, str]]:
    """Return each address with its methods, except the rows of the admin."""
    for route, callback in all_views():
        for method in [] if OF_A_MODEL.fullmatch(route) else methods_of(callback):
            yield route, "POST" if route == "/api/v1/salir/" else method


def _is(path: str, route: str) -> bool:
    """Return True if the path of a table row is an address of the route."""
    example = path.format(venta=UUID(int=1), inscripcion=UUID(int=1))
    return bool(re.fullmatch(re.sub(r"<[^>(]*>(?!\[)", "[^/]+", re.sub(r"\(\?P<\w+>", "(", route)), example))


def _may(client: APIClient, model: type[Model]) -> str:
    """Return the permissions found: `v` view, `a` add, `c` change, `d` delete.

    The row does not exist, which the admin finds out after it has checked the permission.
    """
    base, pk = f"/admin/{model._meta.app_label}/{model._meta.model_name}/", _no_such(model)
    if _status(client, "GET", base, "") == 302:
        return "log in"
    asked = {"v": ("GET", base), "a": ("GET", f"{base}add/")}
    asked |= {"c": ("POST", f"{base}{pk}/change/"), "d": ("GET", f"{base}{pk}/delete/")}
    found = {letter: _status(client, *request, "") for letter, request in asked.items()}
    assert set(found.values()) <= {200, 302, 403}
    return "".join(letter for letter, status in found.items() if status != 403) or "-"


def _no_such(model: type[Model]) -> str:
    """Return a primary key without a row."""
    return {"UUIDField": str(UUID(int=0)), "DateField": "2001-01-01"}.get(type(model._meta.pk).__name__, "999999999")
