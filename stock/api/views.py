"""The API of a maestro's cart: its stock, its ledger, and notices that something ran out."""

from functools import partial
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import mixins, viewsets
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from gremio.api.paginas import is_page
from gremio.api.requests import CLAVE, maestro_id, received
from kafka_bridge.publishing.rest import idempotency_key, idempotent_id
from stock import avisos, reports
from stock.api import paginas, serializers
from stock.models import Aviso, Existencia, Movimiento

RECIBIDO = "Aviso recibido. Los distribuidores te reponen en un momento."


class NewestFirst(CursorPagination):
    """Pages by cursor: they do not shift while sales arrive, and no page counts a whole ledger."""

    page_size = 50
    size_for_people = 20  # on a page, which one scrolls on a phone
    max_page_size = 500
    page_size_query_param = "page_size"

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page in the OpenAPI document; DRF's own examples are not valid addresses."""
        address = {"type": "string", "format": "uri", "nullable": True}
        described = {"next": "La página siguiente.", "previous": "La página anterior."}
        return {
            "type": "object",
            "description": "Una página, de lo más nuevo a lo más antiguo.",
            "required": [*described, "results"],
            "properties": {
                **{name: {**address, "description": text} for name, text in described.items()},
                "results": schema,
            },
        }

    def get_page_size(self, request: Request) -> int | None:
        return self.size_for_people if is_page(request) else super().get_page_size(request)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor of the request, if there is one.

        Raises NotFound if its position is not a time. DRF does not check that, and the database
        would fail at it.
        """
        cursor = super().decode_cursor(request)
        if cursor and cursor.position is not None and not _is_time(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


def _is_time(text: str) -> bool:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None


def _refuse_parameters(request: Request) -> None:
    """Raise ValidationError if a notice stands in the address: its body would be for everything."""
    text = 'Va en el cuerpo, como en {"insumos": ["mote"]}, y no en la dirección.'
    if unread := sorted(set(request.query_params) - {"format"})[:10]:
        raise ValidationError({name[:60]: [text] for name in unread})


class NewestMovementsFirst(NewestFirst):
    ordering = ("-ocurrido_en", "-id")


class NewestNoticesFirst(NewestFirst):
    ordering = ("-abierto_en", "-id")


class StockViewSet(viewsets.GenericViewSet[Any]):
    """Lo que queda en tu carro, y cuándo se agota al ritmo de la última hora."""

    serializer_class = serializers.LineaSerializer
    pagination_class = None
    queryset = Existencia.objects.none()
    paginas: ClassVar = {"list": paginas.carro}

    def get_view_name(self) -> str:
        return "Mi stock"

    @extend_schema(responses=serializers.LineaSerializer(many=True))
    def list(self, request: Request) -> Response:
        lineas = reports.estado_del_carro(maestro_id(request), ahora=timezone.now())
        return Response(self.get_serializer(lineas, many=True).data)


class MovimientoViewSet(viewsets.GenericViewSet[Movimiento]):
    """El libro de tu carro.

    Ventas que salen, reposiciones que entran, correcciones con su motivo.
    """

    serializer_class = serializers.RenglonSerializer
    pagination_class = NewestMovementsFirst
    queryset = Movimiento.objects.none()
    paginas: ClassVar = {"list": paginas.movimientos}

    def get_view_name(self) -> str:
        return "Movimientos de mi stock"

    def get_queryset(self) -> QuerySet[Movimiento]:
        return Movimiento.objects.filter(carro=maestro_id(self.request))

    @extend_schema(responses=serializers.RenglonSerializer(many=True))
    def list(self, request: Request) -> Response:
        # A page holds whole movements, so it may have more lines than `page_size`.
        renglones = reports.renglones(self.paginate_queryset(self.get_queryset()) or ())
        return self.get_paginated_response(self.get_serializer(renglones, many=True).data)


class AvisoViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Aviso]):
    """Avisa que se te agotó algo: un POST vacío avisa por todo lo agotado.

    Los distribuidores llenan tu carro de inmediato.
    """

    serializer_class = serializers.AvisoSerializer
    pagination_class = NewestNoticesFirst
    queryset = Aviso.objects.none()
    paginas: ClassVar = {"list": paginas.avisos, "create": paginas.carro}

    def get_view_name(self) -> str:
        return "Avisos de stock"

    def get_serializer_class(self) -> type[Any]:
        return serializers.AvisoNuevoSerializer if self.request.method == "POST" else super().get_serializer_class()

    def get_queryset(self) -> QuerySet[Aviso]:
        return Aviso.objects.filter(carro=maestro_id(self.request))

    @extend_schema(
        parameters=[CLAVE],
        request=serializers.AvisoNuevoSerializer,
        responses={
            202: serializers.AceptadoSerializer,
            422: OpenApiResponse(
                OpenApiTypes.OBJECT, description="La `Idempotency-Key` ya llegó con otros `insumos`: los dice."
            ),
        },
    )
    def create(self, request: Request) -> HttpResponse:
        _refuse_parameters(request)
        cuerpo = self.get_serializer(data=request.data)
        cuerpo.is_valid(raise_exception=True)
        whose = maestro_id(request)
        clave = idempotency_key(request)
        aviso_id = idempotent_id(clave, f"aviso {whose}")
        insumos = cuerpo.validated_data.get("insumos", ())
        if clave:
            avisos.reservar(aviso_id, insumos, ahora=timezone.now())
        avisos.avisar(aviso_id, whose, insumos)
        page = partial(reverse, "stock:stock-list")
        return received(request, {"id": aviso_id}, page=page, message=RECIBIDO)
