"""The API of sales. A POST publishes events and answers 202; what is read comes from the ledger."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import generics, status
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound
from rest_framework.fields import ChoiceField
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.viewsets import GenericViewSet

from gremio.formats import pesos
from gremio.requests import accepted, maestro_id, zona
from kafka_bridge.publishing.rest import idempotent_id
from ventas import calendario
from ventas.api import aceptacion, catalogo, filters
from ventas.api.pagination import SalesPagination
from ventas.api.renderers import ResumenRenderer
from ventas.api.serializers import (
    MAX_VENTAS,
    AnularSerializer,
    PaginaDeVentasSerializer,
    ProductoSerializer,
    ResumenSerializer,
    VentaAceptadaSerializer,
    VentaEntradaSerializer,
    VentasAceptadasSerializer,
    VentaSerializer,
)
from ventas.events import VentaRegistrada
from ventas.models import Producto, Venta
from ventas.semanas import reports

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

    def get_view_name(self) -> str:
        return self.name or ("Venta" if self.detail else "Mis ventas")

    def get_queryset(self) -> QuerySet[Venta]:
        """Return the maestro's own sales."""
        return Venta.objects.filter(maestro_id=maestro_id(self.request)).order_by("-vendida_en", "-id")

    def get_serializer_class(self) -> type[Any]:
        """Return the serializer of the browsable API's form; it differs for reading and writing."""
        formularios = {"list": VentaEntradaSerializer, "create": VentaEntradaSerializer, "anular": AnularSerializer}
        return formularios.get(self.action or "", VentaSerializer)

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Return the serializer; its HTML form offers the products of the catalogue."""
        serializer = super().get_serializer(*args, **kwargs)
        if isinstance(serializer, VentaEntradaSerializer):
            opciones = [(codigo, f"{uno.nombre}, {pesos(uno.precio)}") for codigo, uno in catalogo.vigente().items()]
            serializer.fields["producto"] = ChoiceField(choices=opciones)
        return serializer

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
                '`{"errores": [{"indice": 3, "cantidad": ["..."]}]}` y no se acepta ninguna.',
            ),
            413: OpenApiResponse(OpenApiTypes.OBJECT, description=f"Más de {MAX_VENTAS} ventas."),
        },
    )
    def create(self, request: Request) -> Response:
        """Registra una venta, o una lista de hasta 1.000: se aceptan todas o ninguna."""
        if isinstance(request.data, list):
            return self._create_list(request, request.data)
        maestro = maestro_id(request)
        id_for = partial(idempotent_id, request, maestro)
        id_ = aceptacion.aceptar_una(
            request.data, maestro_id=maestro, id_for=id_for, ahora=timezone.now(), zona=zona(request)
        )
        return accepted({"id": id_}, location=reverse("ventas:venta-detail", [id_], request=request))

    def _create_list(self, request: Request, datos: Sequence[Any]) -> Response:
        if len(datos) > MAX_VENTAS:
            raise ListaMuyLarga
        maestro = maestro_id(request)
        id_for = partial(idempotent_id, request, maestro)
        ids = aceptacion.aceptar_lista(
            datos, maestro_id=maestro, id_for=id_for, ahora=timezone.now(), zona=zona(request)
        )
        return accepted({"aceptadas": len(ids), "ids": ids})

    @extend_schema(responses=VentaSerializer)
    def retrieve(self, request: Request, **_: str) -> Response:
        """Muestra una venta propia. Recién enviada puede faltar un momento: 404 con Retry-After."""
        return Response(VentaSerializer(self._own_sale()).data)

    @extend_schema(request=AnularSerializer, responses={202: VentaAceptadaSerializer})
    @action(detail=True, methods=["post"])
    def anular(self, request: Request, **_: str) -> Response:
        """Anula una venta registrada por error.

        La de una semana cerrada se descuenta en la que está abierta.
        """
        cuerpo = AnularSerializer(data=request.data)
        cuerpo.is_valid(raise_exception=True)
        venta_id = aceptacion.aceptar_anulacion(self._own_sale(), motivo=cuerpo.validated_data["motivo"])
        return accepted({"id": venta_id})

    @extend_schema(responses=ResumenSerializer, parameters=[SEMANA], filters=False)
    @action(detail=False, methods=["get"], pagination_class=None, renderer_classes=[JSONRenderer, ResumenRenderer])
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


class ProductosView(generics.ListAPIView[Producto]):
    """El catálogo: lo que se vende, su precio y su receta."""

    queryset = Producto.objects.filter(activo=True).prefetch_related("receta__insumo")
    serializer_class = ProductoSerializer
    pagination_class = None

    def get_view_name(self) -> str:
        return "Productos"


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
