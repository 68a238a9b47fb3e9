"""The API of sales. A POST publishes events and answers 202; what is read comes from the ledger."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import generics, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from gremio.api.paginas import is_page
from gremio.api.requests import CLAVE, maestro_id, raise_earlier_error, received, zona
from kafka_bridge.publishing.rest import idempotency_key, idempotent_id
from ventas import calendario
from ventas.api import aceptacion, entrada, filters, paginas, recibidas
from ventas.api.aceptacion import Remitente
from ventas.api.pagination import SalesPagination
from ventas.api.serializers import (
    MAX_VENTAS,
    AnularSerializer,
    CorreoSemanalSerializer,
    PaginaDeVentasSerializer,
    ProductoSerializer,
    ResumenSerializer,
    VentaAceptadaSerializer,
    VentaEntradaSerializer,
    VentasAceptadasSerializer,
    VentaSerializer,
)
from ventas.events import VentaRegistrada
from ventas.models import Cuenta, Producto, Venta
from ventas.semanas import baja, reports

UUID_REGEX = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
DESDE = OpenApiParameter(
    "desde",
    OpenApiTypes.STR,
    description="Fecha (2026-11-23) o momento desde el que se vendió. Los días son los de Santiago, en todo Chile.",
)
HASTA = OpenApiParameter(
    "hasta", OpenApiTypes.STR, description="Última fecha, incluida; o momento, excluido. En la hora de Santiago."
)
CURSOR = OpenApiParameter("cursor", OpenApiTypes.STR, description="Lo trae `next`.")
SEMANA = OpenApiParameter("semana", OpenApiTypes.STR, description="2026-W47; por omisión, la actual.")


PARCIAL = OpenApiParameter(
    "parcial",
    OpenApiTypes.BOOL,
    description="Con `true`, de una lista se aceptan las ventas que sirven y se nombran las otras. "
    "Sin él se aceptan todas o ninguna.",
)
VENTA_RECIBIDA = "Venta recibida: en un momento aparece en tu lista."
VENTA_REPETIDA = "Venta recibida antes: era el mismo envío y cuenta una sola vez. Para otra venta, usa este formulario."
NO_LLEGA = "Listo: el correo de los lunes ya no te llega."
SI_LLEGA = "Listo: el correo de los lunes te llega de nuevo."
OTROS_DATOS_422 = (
    "El `id` o la `Idempotency-Key` ya llegó con otros datos: cada campo distinto trae lo que llegó antes y ahora. "
    "De una lista, `errores` con su índice; no se acepta ninguna, salvo con `?parcial=true`."
)


class VentaNoRegistrada(NotFound):
    """404 with Retry-After: an accepted sale reaches the ledger a moment later."""

    default_detail = "No tienes una venta con ese id. Si la acabas de enviar, consulta de nuevo en un segundo."
    wait = 1


class ListaMuyLarga(APIException):
    """413: the list has more sales than one request may contain."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_detail = f"La lista tiene más de {MAX_VENTAS} ventas: envíala en partes."


class VentaViewSet(GenericViewSet[Venta]):
    """Las ventas del maestro.

    Una venta aceptada (202) cuenta una sola vez, aunque se envíe de nuevo con el mismo id.
    """

    queryset = Venta.objects.none()
    serializer_class = VentaSerializer
    pagination_class = SalesPagination
    lookup_value_regex = UUID_REGEX
    lookup_field = "id"
    paginas: ClassVar = {
        "list": paginas.vender,
        "create": paginas.vender,
        "retrieve": paginas.venta,
        "resumen": paginas.semana,
    }

    def get_view_name(self) -> str:
        return self.name or ("Venta" if self.detail else "Mis ventas")

    def get_queryset(self) -> QuerySet[Venta]:
        """Return the maestro's own sales."""
        return Venta.objects.filter(maestro_id=maestro_id(self.request)).order_by("-vendida_en", "-id")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise what kept the event loop from accepting the sale, before anything else."""
        raise_earlier_error(request)
        super().initial(request, *args, **kwargs)

    @extend_schema(responses=PaginaDeVentasSerializer, parameters=[DESDE, HASTA, CURSOR], filters=False)
    def list(self, request: Request) -> Response:
        """Lista las ventas propias, de la más nueva a la más antigua."""
        ventas = self.get_queryset()
        if desde := filters.moment_parameter(request, "desde"):
            ventas = ventas.filter(vendida_en__gte=desde)
        if hasta := filters.moment_parameter(request, "hasta", days_later=1):
            ventas = ventas.filter(vendida_en__lt=hasta)
        pagina = self.paginate_queryset(ventas)
        return self.get_paginated_response(VentaSerializer(pagina, many=True).data)

    @extend_schema(
        parameters=[CLAVE, PARCIAL],
        request=PolymorphicProxySerializer(
            component_name="VentaOLista",
            serializers=[VentaEntradaSerializer, VentaEntradaSerializer(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={
            202: PolymorphicProxySerializer(
                component_name="VentaOListaAceptada",
                serializers=[VentaAceptadaSerializer, VentasAceptadasSerializer],
                resource_type_field_name=None,
            ),
            400: OpenApiResponse(
                OpenApiTypes.OBJECT,
                description='`{"cantidad": ["..."]}`; de una lista, '
                '`{"errores": [{"indice": 3, "cantidad": ["..."]}]}` y no se acepta ninguna '
                "(con `?parcial=true`, solo si ninguna sirve).",
            ),
            413: OpenApiResponse(OpenApiTypes.OBJECT, description=f"Más de {MAX_VENTAS} ventas."),
            422: OpenApiResponse(OpenApiTypes.OBJECT, description=OTROS_DATOS_422),
        },
    )
    def create(self, request: Request) -> HttpResponse:
        """Registra una venta, o una lista de hasta 1.000: se aceptan todas o ninguna.

        Cada venta cuenta con el precio, el costo y la receta que el producto tenía en su
        `vendida_en`, y se acepta si el producto se vendía en ese momento.

        Con `?parcial=true` una lista se acepta aunque algunas ventas no sirvan: la respuesta trae
        cuántas se aceptaron, sus ids en el orden de la lista, y en `errores` el índice de cada una
        de las otras con el motivo. Corrige esas y envíalas de nuevo.
        """
        if isinstance(request.data, list):
            return self._create_list(request, request.data)
        aceptada = aceptacion.aceptar_una(request.data, remitente=_remitente(request), ahora=timezone.now())
        if is_page(request) and aceptada.evento:
            recibidas.recordar(request, aceptada.evento)
        return received(
            request,
            {"id": aceptada.id},
            location=reverse("ventas:venta-detail", [aceptada.id], request=request),
            page=partial(reverse, "ventas:venta-list"),
            message=VENTA_REPETIDA if aceptada.repetida else VENTA_RECIBIDA,
        )

    def _create_list(self, request: Request, datos: Sequence[Any]) -> HttpResponse:
        if len(datos) > MAX_VENTAS:
            raise ListaMuyLarga
        parcial = filters.flag_parameter(request, "parcial")
        resultado = aceptacion.aceptar_lista(
            datos, remitente=_remitente(request), ahora=timezone.now(), parcial=parcial
        )
        ids = msgspec.to_builtins([una.id for una in resultado.aceptadas])  # faster than DRF's encoder, one by one
        data: dict[str, Any] = {"aceptadas": len(ids), "ids": ids}
        if parcial:
            data["errores"] = entrada.con_indice(resultado.errores)
        recibidas = f"Ventas recibidas: {len(resultado.aceptadas)}. Con errores: {len(resultado.errores)}."
        return received(request, data, page=partial(reverse, "ventas:venta-list"), message=recibidas)

    @extend_schema(responses=VentaSerializer)
    def retrieve(self, request: Request, **_: str) -> Response:
        """Muestra una venta propia. Recién enviada puede faltar un momento: 404 con Retry-After."""
        return Response(VentaSerializer(self._own_sale()).data)

    @extend_schema(
        request=AnularSerializer,
        responses={
            202: VentaAceptadaSerializer,
            422: OpenApiResponse(OpenApiTypes.OBJECT, description="Ya se anuló con otro `motivo`, que es el que vale."),
        },
    )
    @action(detail=True, methods=["post"])
    def anular(self, request: Request, **_: str) -> HttpResponse:
        """Anula una venta registrada por error.

        La de una semana cerrada se descuenta en la que está abierta. Repetir el envío no hace daño.
        """
        cuerpo = AnularSerializer(data=request.data)
        cuerpo.is_valid(raise_exception=True)
        anulada = aceptacion.aceptar_anulacion(self._own_sale(), motivo=cuerpo.validated_data["motivo"])
        if is_page(request):
            recibidas.recordar_anulacion(request, anulada.id)
        page = partial(reverse, "ventas:venta-detail", [anulada.id])
        message = "Esa anulación ya estaba recibida." if anulada.repetida else "Anulación recibida."
        return received(request, {"id": anulada.id}, page=page, message=message)

    @extend_schema(responses=ResumenSerializer, parameters=[SEMANA], filters=False)
    @action(detail=False, methods=["get"], pagination_class=None)
    def resumen(self, request: Request) -> Response:
        """Resume una semana contable: lo mismo que dirá, o dijo, el correo de esa semana."""
        lunes = filters.week_parameter(request, now=timezone.now())
        return Response(_resumen(lunes, reports.resumen(lunes, maestro_id(request))))

    def _own_sale(self) -> Venta:
        """Return the maestro's own sale that the URL names.

        Raises VentaNoRegistrada, also for a sale of another maestro.
        """
        event_id = VentaRegistrada.derive_id(maestro_id(self.request), UUID(self.kwargs["id"]))
        venta = self.get_queryset().filter(pk=event_id).first()
        if venta is None:
            raise VentaNoRegistrada
        return venta


def _remitente(request: Request) -> Remitente:
    maestro, clave = maestro_id(request), idempotency_key(request)
    id_for = partial(idempotent_id, clave, maestro)
    return Remitente(maestro, id_for=id_for, con_clave=bool(clave), zona=zona(request))


class ProductosView(generics.ListAPIView[Producto]):
    """El catálogo: lo que se vende, su precio y su receta."""

    queryset = Producto.objects.filter(activo=True).prefetch_related("receta__insumo")
    serializer_class = ProductoSerializer
    pagination_class = None
    paginas: ClassVar = {"get": paginas.productos}

    def get_view_name(self) -> str:
        return "Productos"


class CorreoSemanalView(APIView):
    """El correo de los lunes: si lo quieres. La dirección está en cada uno, y no pide entrar."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    paginas: ClassVar = {"get": paginas.correo_semanal}

    def get_view_name(self) -> str:
        return "El correo de los lunes"

    @extend_schema(responses=CorreoSemanalSerializer)
    def get(self, request: Request, firma: str) -> Response:
        return Response({"recibir": _account(firma).correo_semanal})

    @extend_schema(request=CorreoSemanalSerializer, responses=CorreoSemanalSerializer)
    def post(self, request: Request, firma: str) -> HttpResponse:
        """Deja de enviarlo; con `recibir: true`, lo envía de nuevo.

        Un servidor de correo lo llama con `List-Unsubscribe=One-Click` (RFC 8058).
        """
        cuenta, cuerpo = _account(firma), CorreoSemanalSerializer(data=request.data)
        cuerpo.is_valid(raise_exception=True)
        quiere = cuerpo.validated_data["recibir"]
        baja.fijar(cuenta, quiere=quiere)
        if not is_page(request):
            return Response({"recibir": quiere})
        messages.success(request._request, SI_LLEGA if quiere else NO_LLEGA)
        return HttpResponseRedirect(request.path, status=status.HTTP_303_SEE_OTHER)


def _account(firma: str) -> Cuenta:
    cuenta = baja.cuenta_de(firma)
    if cuenta is None:
        raise NotFound("Esa dirección no sirve: cópiala entera del correo.")
    return cuenta


def _resumen(lunes: date, cuentas: reports.Resumen) -> dict[str, Any]:
    """Return a week's accounts as the API shows them, with the boundaries in Chilean time."""
    desde, hasta = calendario.limites(lunes)
    return {
        "semana": calendario.codigo(lunes),
        "desde": desde.astimezone(calendario.CHILE).isoformat(),
        "hasta": hasta.astimezone(calendario.CHILE).isoformat(),
        "cantidad_ventas": cuentas.cantidad_ventas,
        "unidades": cuentas.unidades,
        "ingresos": cuentas.ingresos,
        "ganancias": cuentas.ganancias,
        "por_dia": cuentas.por_dia,
        "por_producto": cuentas.por_producto,
        "ajustes": {
            "cantidad_ventas": cuentas.ajuste_ventas,
            "unidades": cuentas.ajuste_unidades,
            "ingresos": cuentas.ajuste_ingresos,
            "ganancias": cuentas.ajuste_ganancias,
        },
    }
