"""What views share when they publish: the answer 202, and 503 with Retry-After where nothing can be accepted."""

from typing import Any
from uuid import UUID, uuid4, uuid5

from django.db import InterfaceError, OperationalError
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from kafka_bridge import conf
from kafka_bridge.exceptions import Unavailable
from kafka_bridge.publishing.producer import RETRY_AFTER_SECONDS


class ServiceUnavailable(APIException):
    """503: neither Kafka nor the database took it, so nothing was accepted."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = "El servicio no está disponible en este momento. No se guardó nada: inténtalo de nuevo."
    wait = RETRY_AFTER_SECONDS  # DRF writes it as Retry-After


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's handler, with a dependency that is down answered as 503 instead of 500, and bad JSON in Spanish."""
    if isinstance(error, Unavailable | OperationalError | InterfaceError):
        error = ServiceUnavailable()
    elif isinstance(error, ParseError):  # DRF's text is the parser's own, in English
        error = ParseError("El cuerpo no se puede leer: revisa que sea JSON válido, en UTF-8.")
    return drf_exception_handler(error, context)


def idempotent_id(request: Request, owner: object, index: int = 0) -> UUID:
    """The id of what a request creates when the client gave none: from its Idempotency-Key, so that a retry is the same.

    Raises ValidationError where the key is longer than 200 characters.
    """
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > 200:
        raise serializers.ValidationError({"Idempotency-Key": "Tiene más de 200 caracteres: usa un UUID."})
    return uuid5(conf.NAMESPACE, f"{owner}|{key}|{index}") if key else uuid4()
