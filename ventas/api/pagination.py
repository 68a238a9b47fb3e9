"""Pages of sales by key, not by number: each page costs the same however deep it lies."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from django.template import loader
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from ventas.models import Venta

TAMANO: Final = 100


class PaginaPorMomento(BasePagination):
    """Newest first by (vendida_en, id); `cursor` holds both of the last sale that was shown."""

    display_page_controls = True
    siguiente: str | None = None

    def paginate_queryset(  # type: ignore[override]  # the ledger's only
        self, queryset: QuerySet[Venta], request: Request, view: Any = None
    ) -> list[Venta]:
        """A page of an ordered queryset. Raises ValidationError where the cursor is none of ours."""
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.filter(_despues_de(cursor))
        filas = list(queryset[: TAMANO + 1])
        if len(filas) > TAMANO:
            self.siguiente = replace_query_param(request.build_absolute_uri(), "cursor", _cursor(filas[TAMANO - 1]))
        return filas[:TAMANO]

    def get_paginated_response(self, data: Any) -> Response:
        """`next` is the whole address of the next page, or null."""
        return Response({"next": self.siguiente, "results": data})

    def to_html(self) -> str:
        """The link of the browsable page."""
        template = loader.get_template("rest_framework/pagination/previous_and_next.html")
        return str(template.render({"previous_url": None, "next_url": self.siguiente}))


def _cursor(venta: Venta) -> str:
    return urlsafe_b64encode(f"{venta.vendida_en.isoformat()}|{venta.id}".encode()).decode()


def _despues_de(cursor: str) -> Q:
    try:
        momento_texto, id_texto = urlsafe_b64decode(cursor.encode()).decode().split("|")
        momento, ultima = datetime.fromisoformat(momento_texto).astimezone(UTC), UUID(id_texto)
    except (ValueError, OverflowError):
        raise ValidationError({"cursor": ["No es válido: vuelve a la primera página."]}) from None
    return Q(vendida_en__lte=momento) & (Q(vendida_en__lt=momento) | Q(id__lt=ultima))
