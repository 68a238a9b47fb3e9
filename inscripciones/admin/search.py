"""The search box of enrolments and maestros."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib.postgres.search import SearchQuery
from django.db.models import Q, QuerySet

from gremio.lectura.textos import limpiar
from inscripciones.formulario import normalizacion
from inscripciones.models import WORDS, plain


def search_people(queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Filter by RUT in any punctuation, id, e-mail address, or words of the name and the comuna.

    A beginning is enough, except of an id. Case and accents do not matter. Each case uses an index.
    """
    text = limpiar(text).strip()
    if not text:
        return queryset
    if (rut := _value_or_none(normalizacion.rut, text)) is not None:
        return queryset.filter(rut=rut)
    if (uuid := _value_or_none(UUID, text)) is not None:
        return queryset.filter(pk=uuid)
    if digits := re.fullmatch(r"[\d.]{4,}-?", text):
        return queryset.filter(rut__startswith=digits[0].replace(".", ""))
    if "@" in text:
        # The address as it is stored, or the beginning of one, whose domain is not complete.
        return queryset.filter(Q(email__startswith=normalizacion.email(text)) | Q(email__startswith=text.lower()))
    found: QuerySet[Any] = queryset.annotate(words=WORDS)
    return found.filter(Q(email__startswith=text.lower()) | Q(words=_query(text)))


def _query(text: str) -> SearchQuery:
    """Return a query for people whose words begin with each of the words of `text`."""
    beginnings = [f"{word}:*" for word in re.findall(r"\w+", plain(text))]
    return SearchQuery(" & ".join(beginnings), config="simple", search_type="raw")


def _value_or_none(parse: Callable[[str], Any], text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None
