"""Permissions of the API."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

# At run time this import would be a circle: rest_framework.views imports the default permissions,
# which are in this module.
if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class EsMaestro(BasePermission):
    """Admit maestros only: the views read `request.user.maestro_id`, which staff do not have."""

    message = "Esto es para maestros: entra con el token de tu correo de credenciales."

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        return getattr(request.user, "maestro_id", None) is not None
