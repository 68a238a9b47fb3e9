"""The search box of enrolments and maestros."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import Func, Q, QuerySet, Value
from django.db.models.functions import Lower

from gremio.lectura.textos import limpiar
from inscripciones.formulario import normalizacion

ACCENTED, PLAIN = "áéíóúüñ", "aeiouun"


def search_people(queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Filter by RUT in any punctuation, id, e-mail address, or words of the name.

    Case and accents of names do not matter.
    """
    text = limpiar(text).strip()
    if not text:
        return queryset
    if (rut := _value_or_none(normalizacion.rut, text)) is not None:
        return queryset.filter(rut=rut)
    if (uuid := _value_or_none(UUID, text)) is not None:
        return queryset.filter(pk=uuid)
    if "@" in text:
        # The address as it is stored, or the beginning of one, whose domain is not complete.
        return queryset.filter(Q(email__startswith=normalizacion.email(text)) | Q(email__startswith=text.lower()))
    plain_name = Func(Lower("nombre"), Value(ACCENTED), Value(PLAIN), function="translate")
    queryset = queryset.annotate(plain_name=plain_name)
    for word in text.lower().translate(str.maketrans(ACCENTED, PLAIN)).split():
        queryset = queryset.filter(plain_name__contains=word)
    return queryset


def _value_or_none(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None
