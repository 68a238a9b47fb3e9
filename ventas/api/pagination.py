"""Pages of sales by key, not by number: a page costs the same however deep in the list it is."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from gremio.api.paginas import is_page
from ventas.models import Venta

PAGE_SIZE: Final = 100
SIZE_FOR_PEOPLE: Final = 20  # on a page, which one scrolls on a phone


class SalesPagination(BasePagination):
    """Newest first by (vendida_en, id); `cursor` holds both values of the last sale shown."""

    next_url: str | None = None

    def paginate_queryset(  # type: ignore[override]  # only for sales, so the types are narrower
        self, queryset: QuerySet[Venta], request: Request, view: Any = None
    ) -> list[Venta]:
        """Return a page of an ordered queryset. Raises ValidationError if the cursor is invalid."""
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.filter(_after(cursor))
        size = SIZE_FOR_PEOPLE if is_page(request) else PAGE_SIZE
        rows = list(queryset[: size + 1])
        if len(rows) > size:
            last_shown = rows[size - 1]
            self.next_url = replace_query_param(request.build_absolute_uri(), "cursor", cursor_after(last_shown))
        return rows[:size]

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page; `next` is the absolute URL of the next page, or null."""
        return Response({"next": self.next_url, "results": data})


def cursor_after(venta: Venta) -> str:
    """Return the cursor of the page that begins after a sale."""
    return urlsafe_b64encode(f"{venta.vendida_en.isoformat()}|{venta.id}".encode()).decode()


def _after(cursor: str) -> Q:
    try:
        moment_text, id_text = urlsafe_b64decode(cursor.encode()).decode().split("|")
        moment, last_id = datetime.fromisoformat(moment_text).astimezone(UTC), UUID(id_text)
    except (ValueError, OverflowError):
        raise ValidationError({"cursor": ["No es válido: vuelve a la primera página."]}) from None
    return Q(vendida_en__lte=moment) & (Q(vendida_en__lt=moment) | Q(id__lt=last_id))
