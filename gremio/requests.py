"""What the API's views share: whose request it is, and the answer to what was accepted."""

from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response


def maestro_id(request: Request) -> UUID:
    """Return the id of the maestro who sent the request.

    Raises PermissionDenied for other users, whom the default permission `EsMaestro` refuses before.
    """
    own_id = getattr(request.user, "maestro_id", None)
    if not isinstance(own_id, UUID):
        raise PermissionDenied
    return own_id


def zona(request: Request) -> ZoneInfo:
    """Return the zone of the maestro who sent the request: of times that are sent without one."""
    return ZoneInfo(getattr(request.user, "zona", None) or settings.TIME_ZONE)


def accepted(data: dict[str, Any], *, location: str = "") -> Response:
    """Return 202 for events that are in Kafka or in the outbox.

    `location` is the URL where the client can follow them.
    """
    return Response(data, status.HTTP_202_ACCEPTED, headers={"Location": location} if location else None)
