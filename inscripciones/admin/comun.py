"""TODO."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Func, Model, QuerySet, Value
from django.db.models.functions import Lower
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from inscripciones import normalizacion


class SoloLectura(ModelAdmin):
    """Rows that only the services write."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def buscar(queryset: QuerySet[Any], texto: str, id_field: str) -> QuerySet[Any]:
    """By RUT in any punctuation, by id, by e-mail, or by words of the name without case or accents."""
    texto = texto.strip()
    if not texto:
        return queryset
    if (rut := _o_nada(normalizacion.rut, texto)) is not None:
        return queryset.filter(rut=rut)
    if (uuid := _o_nada(UUID, texto)) is not None:
        return queryset.filter(**{id_field: uuid})
    if "@" in texto:
        return queryset.filter(email__startswith=normalizacion.email(texto))
    con, sin = "áéíóúüñ", "aeiouun"
    queryset = queryset.annotate(plano=Func(Lower("nombre"), Value(con), Value(sin), function="translate"))
    for palabra in texto.lower().translate(str.maketrans(con, sin)).split():
        queryset = queryset.filter(plano__contains=palabra)
    return queryset


def _o_nada(leer: Callable[[str], Any], texto: str) -> Any:
    try:
        return leer(texto)
    except ValueError:
        return None


def _permiso(codigo: str) -> Callable[..., bool]:
    """A `has_..._permission` of an admin: who may see the rows and has that permission."""

    def puede(self: ModelAdmin, request: HttpRequest, obj: Any = None) -> bool:
        return bool(self.has_view_permission(request) and request.user.has_perm(f"inscripciones.{codigo}"))

    return puede
