"""Who may call what."""

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

if TYPE_CHECKING:  # rest_framework.views loads the default permissions, this very module, while it is itself loading
    from rest_framework.request import Request
    from rest_framework.views import APIView


class EsMaestro(BasePermission):
    """Maestros only: their own data hangs on `request.user.maestro_id`, and staff have none."""

    message = "Esto es para maestros: entra con el token de tu correo de credenciales."

    def has_permission(self, request: "Request", view: "APIView") -> bool:
        return getattr(request.user, "maestro_id", None) is not None
