"""Helpers for views of Django REST framework that publish: 503 with Retry-After, idempotent ids."""

import logging
from typing import Any, Final
from uuid import UUID, uuid5

from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from kafka_bridge import conf
from kafka_bridge.diagnosis import describe, is_server_trouble
from kafka_bridge.events.ids import uuid7
from kafka_bridge.exceptions import MessageTooLarge, Unavailable
from kafka_bridge.publishing.producer import RETRY_AFTER_SECONDS

logger = logging.getLogger(__name__)

KEY: Final = "Idempotency-Key"
LONGEST_KEY: Final = 200


class ServiceUnavailable(APIException):
    """503: neither Kafka nor the database took the events, so nothing was accepted."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = _("The service is not available at the moment. Nothing was saved: try again.")
    wait = RETRY_AFTER_SECONDS  # DRF writes it as Retry-After


class ContentTooLarge(APIException):
    """413: Kafka does not take an event of this size, so nothing was accepted."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Handle errors as DRF does, but answer 503, not 500, if a dependency is down or in trouble.

    An event that is too large for Kafka is 413. The log tells why a dependency did not take it.
    """
    if isinstance(error, MessageTooLarge):
        error = ContentTooLarge(str(error))
    if isinstance(error, Unavailable | OperationalError | InterfaceError) or is_server_trouble(error):
        logger.warning("answered 503: %s", _reason(error))
        error = ServiceUnavailable()
    return drf_exception_handler(error, context)


def _reason(error: Exception) -> str:
    """Return what the database says; else what we say ourselves, which quotes no data."""
    cause = error.__cause__ if isinstance(error, Unavailable) else error
    return describe(cause) if cause else str(error)


def idempotency_key(request: Request) -> str:
    """Return the request's Idempotency-Key, or an empty text.

    It stands in the header, or in a field of that name in an HTML form, so that a form which is
    sent twice creates one thing. Raises ValidationError for a key that is longer than LONGEST_KEY
    characters.
    """
    key = request.headers.get(KEY, "") or str(request.POST.get(KEY, ""))
    if len(key) > LONGEST_KEY:
        raise serializers.ValidationError({KEY: gettext("Longer than 200 characters: use a UUID.")})
    return key


def idempotent_id(key: str, owner: object, index: int = 0) -> UUID:
    """Return the id of what a request creates, if the client gave none.

    It is derived from `owner`, the request's Idempotency-Key and `index`, so that a retry has the
    same id; without a key (an empty text) it is a new UUIDv7.
    """
    return uuid5(conf.NAMESPACE, f"{owner}|{key}|{index}") if key else uuid7()
