"""Permissions of the API."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

# rest_framework.views imports the default permissions, this module, while it is being imported
# itself.
if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class EsMaestro(BasePermission):
    """Admits maestros only: their data hangs on `request.user.maestro_id`, which staff lack."""

    message = "Esto es para maestros: entra con el token de tu correo de credenciales."

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        return getattr(request.user, "maestro_id", None) is not None
