"""The API of enrolment: the form, its state, a maestro's token, the login page, the root."""

from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from drf_spectacular.utils import OpenApiResponse, extend_schema
from knox.models import AuthToken
from rest_framework import status, viewsets
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from gremio.api.paginas import is_page
from gremio.api.requests import received
from inscripciones import credenciales
from inscripciones.api import paginas, seguimiento
from inscripciones.api.forms import EntrarForm
from inscripciones.api.serializers import (
    CambioDeTokenSerializer,
    FormularioSerializer,
    RecibidaSerializer,
    SeguimientoSerializer,
    TokenNuevoSerializer,
    TokenSerializer,
)
from inscripciones.api.throttling import LimiteEntradas, LimiteInscripciones
from inscripciones.formulario.ids import lane_of
from inscripciones.models import Inscripcion, Usuario
from inscripciones.tramite import recepcion

RECIBIDA = "Inscripción recibida. Guarda la dirección de esta página: aquí sigues tu inscripción."
ANULADO = "Tu token quedó anulado. Para volver a entrar, pide otro al gremio."


class InscripcionViewSet(viewsets.GenericViewSet[Any]):
    """Para entrar al gremio: envía el formulario y sigue tu inscripción con el enlace que te damos.

    El mismo formulario enviado otra vez el mismo día es la misma inscripción.
    """

    permission_classes = (AllowAny,)
    serializer_class = FormularioSerializer
    queryset = Inscripcion.objects.none()
    lookup_value_converter = "uuid"
    paginas: ClassVar = {
        "list": paginas.formulario,
        "create": paginas.formulario,
        "retrieve": paginas.seguimiento,
    }

    def get_view_name(self) -> str:
        return "Inscripciones"

    def get_throttles(self) -> list[BaseThrottle]:
        return [LimiteInscripciones()] if self.action == "create" else []

    @extend_schema(responses=OpenApiResponse(description="Cómo inscribirse."))
    def list(self, _request: Request) -> Response:
        return Response({"detail": "Completa el formulario y envíalo con POST."})

    @extend_schema(responses={202: RecibidaSerializer})
    def create(self, request: Request) -> HttpResponse:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        inscripcion_id = recepcion.recibir(serializer.validated_data, dia=timezone.localdate())
        page = reverse("inscripciones:inscripcion-detail", args=[inscripcion_id])
        url = request.build_absolute_uri(page)
        data = {"id": inscripcion_id, "estado": "recibida", "via": lane_of(inscripcion_id), "url": url}
        return received(request, data, location=url, page=lambda: page, message=RECIBIDA)

    @extend_schema(responses=SeguimientoSerializer)
    def retrieve(self, _request: Request, pk: UUID) -> Response:
        datos = seguimiento.consultar(pk)
        if datos is None:
            raise Http404
        return Response(SeguimientoSerializer(datos).data)


class YaCambiado(APIException):
    """409: a repeated request; the token that it would replace was replaced before."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "ya_cambiado"
    default_detail = (
        "Este token ya se cambió. El nuevo se mostró una sola vez y sigue sirviendo; si no lo guardaste, cámbialo otra "
        "vez en «Mi token»."
    )


class TokenViewSet(viewsets.GenericViewSet[AuthToken]):
    """Tu token.

    Cámbialo si alguien más pudo verlo; anúlalo si ya no lo usarás (el gremio puede enviarte otro).
    """

    serializer_class = TokenSerializer
    queryset = AuthToken.objects.none()
    paginas: ClassVar = {"list": paginas.tokens, "rotar": paginas.token_nuevo}

    def get_view_name(self) -> str:
        return "Tu token"

    @extend_schema(responses=TokenSerializer(many=True))
    def list(self, request: Request) -> Response:
        tokens = AuthToken.objects.filter(user=_user(request)).order_by("-created")
        return Response(TokenSerializer(tokens, many=True).data)

    @extend_schema(responses={204: OpenApiResponse(description="El token quedó anulado.")})
    def delete(self, request: Request) -> Response:
        credenciales.revocar(_user(request))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={204: OpenApiResponse(description="El token quedó anulado.")})
    def anular(self, request: Request) -> HttpResponse:
        """Anula el token, como DELETE: una página sin JavaScript no puede enviar un DELETE."""
        response = self.delete(request)
        if not is_page(request):
            return response
        logout(request._request)
        messages.success(request._request, ANULADO)
        return HttpResponseRedirect(reverse("inscripciones:entrar"), status=status.HTTP_303_SEE_OTHER)

    @extend_schema(
        request=CambioDeTokenSerializer,
        responses={201: TokenNuevoSerializer, 409: OpenApiResponse(description=YaCambiado.default_detail)},
    )
    def rotar(self, request: Request) -> Response:
        """Un token nuevo, que solo se muestra aquí y ahora. El anterior deja de servir.

        Enviado dos veces, cambia el token una sola vez: el segundo envío es un 401 o un 409.
        """
        entrada = CambioDeTokenSerializer(data=request.data)
        entrada.is_valid(raise_exception=True)
        usuario = _user(request)
        auth = cast(AuthToken | None, request.auth)
        clave = auth.token_key if auth else entrada.validated_data.get("clave")
        try:
            token = credenciales.emitir(usuario, en_lugar_de=clave)
        except credenciales.TokenCambiado as error:
            raise YaCambiado from error
        # A request with a session instead of a token: this session stays open, the others end.
        if request.auth is None:
            update_session_auth_hash(request._request, usuario)
        vence_en = AuthToken.objects.get(user=usuario).expiry
        return Response(TokenNuevoSerializer({"token": token, "vence_en": vence_en}).data, status.HTTP_201_CREATED)


def _user(request: Request) -> Usuario:
    """Return the user of a request that the default permission `EsMaestro` has admitted."""
    return cast(Usuario, request.user)


class TokenScheme(KnoxTokenScheme):
    """The token in the OpenAPI document."""

    target_class = "inscripciones.api.authentication.TokenDeMaestro"


class RaizView(APIView):
    """La API del gremio.

    Entra con tu token para ver tus ventas y tu carro; para inscribirte no hace falta.
    """

    permission_classes = (AllowAny,)
    paginas: ClassVar = {"get": paginas.inicio}
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
    """The page where a maestro pastes the token to open a session; limited per address."""

    template_name = "inscripciones/entrar.html"
    extra_context = {"titulo": "Entra con tu token", "con_mensajes": True}

    def get_form_class(self) -> Any:
        return EntrarForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        limit = LimiteEntradas()
        if limit.allow_request(request, self):
            return super().post(request, *args, **kwargs)
        context = self.get_context_data(form=EntrarForm(request), demasiados=True)
        return self.render_to_response(context, status=429, headers={"Retry-After": limit.retry_after})
