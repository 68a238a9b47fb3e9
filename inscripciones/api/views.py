"""The enrolment's API: the form, following it, a maestro's token, and the front page of the API."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.views import LoginView
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.utils import OpenApiResponse, extend_schema
from knox.models import AuthToken
from rest_framework import status, viewsets
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from inscripciones import credenciales, ids
from inscripciones.api.forms import EntrarForm
from inscripciones.api.serializers import (
    FormularioSerializer,
    RecibidaSerializer,
    SeguimientoSerializer,
    TokenNuevoSerializer,
    TokenSerializer,
)
from inscripciones.api.throttling import LimiteEntradas, LimiteInscripciones
from inscripciones.events import InscripcionRecibida
from inscripciones.models import Inscripcion, Usuario
from kafka_bridge.publishing import publish


class InscripcionViewSet(viewsets.GenericViewSet[Any]):
    """Para entrar al gremio: envía el formulario y sigue tu inscripción con el enlace que te damos.

    El mismo formulario enviado otra vez el mismo día es la misma inscripción.
    """

    permission_classes = (AllowAny,)
    serializer_class = FormularioSerializer
    queryset = Inscripcion.objects.none()
    lookup_value_converter = "uuid"

    def get_view_name(self) -> str:
        return "Inscripciones"

    def get_throttles(self) -> list[BaseThrottle]:
        return [LimiteInscripciones()] if self.action == "create" else []

    @extend_schema(responses=OpenApiResponse(description="Cómo inscribirse."))
    def list(self, _request: Request) -> Response:
        return Response({"detail": "Completa el formulario y envíalo con POST."})

    @extend_schema(responses={202: RecibidaSerializer})
    def create(self, request: Request) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        inscripcion_id = ids.emitir(serializer.validated_data, dia=timezone.localdate())
        publish(_recibida(inscripcion_id, serializer.validated_data))
        url = request.build_absolute_uri(reverse("inscripciones:inscripcion-detail", args=[inscripcion_id]))
        datos = {"id": inscripcion_id, "estado": "recibida", "via": ids.via(inscripcion_id), "url": url}
        return Response(datos, status.HTTP_202_ACCEPTED, headers={"Location": url})

    @extend_schema(responses=SeguimientoSerializer)
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        via = ids.via(pk)
        if via is None:
            raise Http404
        fila = Inscripcion.objects.select_related("unida_a").filter(pk=pk).first()
        datos = _seguimiento(fila) if fila else {"estado": "recibida"}
        vacio = {"recibida_en": None, "resuelta_en": None, "motivo": None}
        return Response(SeguimientoSerializer({"id": pk, "via": via, **vacio, **datos}).data)


def _recibida(inscripcion_id: UUID, formulario: dict[str, Any]) -> InscripcionRecibida:
    event_id = InscripcionRecibida.derive_id(inscripcion_id)
    return InscripcionRecibida.now(id=event_id, inscripcion_id=inscripcion_id, **formulario)


def _seguimiento(fila: Inscripcion) -> dict[str, Any]:
    """What a stranger may know: a repeated identity looks like any form that waits for a person."""
    vale = fila.unida_a or fila  # the same person's forms share their fate
    repetida = vale.estado == Inscripcion.Estado.REPETIDA
    return {
        "via": vale.via,
        "estado": Inscripcion.Estado.EN_REVISION if repetida else vale.estado,
        "recibida_en": fila.recibida_en,
        "resuelta_en": vale.resuelta_en,
        "motivo": vale.motivo or None,
    }


class TokenViewSet(viewsets.GenericViewSet[AuthToken]):
    """Tu token. Cámbialo si alguien más pudo verlo; anúlalo si ya no lo usarás (el gremio puede enviarte otro)."""

    serializer_class = TokenSerializer
    queryset = AuthToken.objects.none()
    botones: ClassVar = {"Cambiar mi token": reverse_lazy("inscripciones:token-rotar")}  # the browsable page's

    def get_view_name(self) -> str:
        return "Tu token"

    @extend_schema(responses=TokenSerializer(many=True))
    def list(self, request: Request) -> Response:
        tokens = AuthToken.objects.filter(user=_maestro(request)).order_by("-created")
        return Response(TokenSerializer(tokens, many=True).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request) -> Response:
        with transaction.atomic():
            credenciales.revocar(_maestro(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={201: TokenNuevoSerializer})
    def rotar(self, request: Request) -> Response:
        """Un token nuevo, que solo se muestra aquí y ahora. El anterior deja de servir."""
        usuario = _maestro(request)
        with transaction.atomic():
            token = credenciales.emitir(usuario)
        if request.auth is None:  # came with a session, which stays open; those opened elsewhere end
            update_session_auth_hash(request._request, usuario)
        vence_en = AuthToken.objects.get(user=usuario).expiry
        return Response(TokenNuevoSerializer({"token": token, "vence_en": vence_en}).data, status.HTTP_201_CREATED)


def _maestro(request: Request) -> Usuario:
    assert isinstance(request.user, Usuario)  # noqa: S101 - EsMaestro let it pass
    return request.user


class TokenEnElEsquema(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes the token."""

    target_class = "inscripciones.api.authentication.TokenDeMaestro"


class RaizView(APIView):
    """La API del gremio. Entra con tu token para ver tus ventas y tu carro; para inscribirte no hace falta."""

    permission_classes = (AllowAny,)
    RUTAS: ClassVar = {
        "inscripciones": "inscripciones:inscripcion-list",
        "entrar": "inscripciones:entrar",
        "tokens": "inscripciones:token-list",
        "rotar_token": "inscripciones:token-rotar",
        "ventas": "ventas:venta-list",
        "productos": "ventas:producto-list",
        "stock": "stock:stock-list",
        "avisos": "stock:aviso-list",
        "movimientos": "stock:movimiento-list",
        "esquema": "schema",
        "documentacion": "docs",
        "eventos": "events",
    }

    def get_view_name(self) -> str:
        return "MAMOCHI"

    @extend_schema(responses=OpenApiResponse(description="Las rutas de la API, por nombre."))
    def get(self, request: Request) -> Response:
        return Response({nombre: request.build_absolute_uri(reverse(ruta)) for nombre, ruta in self.RUTAS.items()})


class EntrarView(LoginView):
    """The page where a maestro pastes the token: it opens a session and forgets the token. Limited per address."""

    template_name = "inscripciones/entrar.html"
    authentication_form = EntrarForm  # type: ignore[assignment]  # it has what LoginView calls: a user

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        limite = LimiteEntradas()
        if limite.allow_request(request, self):  # type: ignore[arg-type]  # it reads only what both requests have
            return super().post(request, *args, **kwargs)
        contexto = self.get_context_data(form=EntrarForm(request), demasiados=True)
        return self.render_to_response(contexto, status=429, headers={"Retry-After": limite.retry_after})
