"""Pages for people: the same views of the API, as HTML.

A view names the builder of its page per action in `paginas`. What a program gets as JSON stands at
the end of each page, folded. A request whose form was refused shows the form again with what was
typed; what could not be sent at all is kept in a page that offers to send it again, and that page
needs no database.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from csp.constants import SELF
from django.template.loader import render_to_string
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

CORRECTABLE: Final = (status.HTTP_400_BAD_REQUEST, status.HTTP_422_UNPROCESSABLE_ENTITY)
# What a page keeps of a form that could not be sent.
MAX_FIELDS: Final = 30
MAX_LENGTH: Final = 2_000  # characters of a value
NOT_TYPED: Final = ("Idempotency-Key", "clave")
SIN_CAMPO: Final = ("detail", "non_field_errors")  # errors that belong to no field
# A form that fails with one of these is kept, to be sent again.
UNSENT: Final = (401, 403, 503)
NO_SE_ENVIO: Final = "No se envió"
OTRO: Final = "Algo no resultó"
TITULOS: Final = {
    400: "Hay algo que no se entiende",
    401: "Entra con tu token",
    403: "Esta página no es para ti",
    404: "Aquí no hay nada",
    405: "Eso no se puede hacer aquí",
    409: "Ya estaba hecho",
    413: "Es demasiado para un solo envío",
    422: "Ya había llegado otra cosa",
    429: "Espera un momento",
    503: "No hay servicio en este momento",
}


Errores = Mapping[str, list[str]]  # texts by field


@dataclass(frozen=True)
class Pagina:
    """A page: its template and what the template shows."""

    template: str
    titulo: str
    contexto: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pedido:
    """What a builder makes a page of.

    `data`: what a program gets; None if the form was refused, and `errores` then says why, by
    field. `escrito`: the fields of the form.
    """

    request: Request
    data: Any
    errores: Errores
    escrito: Mapping[str, str]
    ahora: datetime


Constructor = Callable[[Pedido], Pagina]


class PaginaRenderer(BaseRenderer):
    """The HTML of a view's answer."""

    media_type = "text/html"
    format = "api"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> str:
        """Return the page; an empty text for an answer without a body."""
        context = renderer_context or {}
        request, response = context["request"], context["response"]
        if response.status_code == status.HTTP_204_NO_CONTENT:
            return ""
        # Stricter than the settings: these pages have no inline style.
        response._csp_replace = {"style-src": [SELF]}
        pagina = _page(context["view"], request, response, data)
        contexto = {**_frame(request, response, data), "titulo": pagina.titulo, **pagina.contexto}
        return render_to_string(pagina.template, contexto, request._request)


def is_page(request: Request) -> bool:
    """Return whether the answer is a page for a person."""
    return getattr(request.accepted_renderer, "format", "") == PaginaRenderer.format


def _page(view: Any, request: Request, response: Response, data: Any) -> Pagina:
    builders: Mapping[str, Constructor] = getattr(view, "paginas", {})
    builder = builders.get(getattr(view, "action", None) or str(request.method).lower())
    failed = response.status_code >= 400
    correctable = response.status_code in CORRECTABLE and request.method == "POST"
    if builder and (correctable or not failed):
        errores = by_field(data) if failed else {}
        escrito = dict(_sent(request)) if failed else {}
        return builder(Pedido(request, None if failed else data, errores, escrito, timezone.now()))
    return _notice(view, request, response, data)


def _notice(view: Any, request: Request, response: Response, data: Any) -> Pagina:
    """Return the page of an error, or of an answer that has no page of its own."""
    code = response.status_code
    if code < 400:
        return Pagina("gremio/respuesta.html", view.get_view_name())
    sent = _sent(request) if request.method == "POST" else []
    errores = by_field(data)
    contexto = {
        "codigo": code,
        "textos": [text for name, texts in errores.items() for text in texts if code != 422 or name not in SIN_CAMPO],
        "espera": response.headers.get("Retry-After"),
        "enviado": sent,
        "escrito": [(name.replace("_", " "), value) for name, value in sent if name not in NOT_TYPED and value],
        "reintentar": request.method == "POST" and code not in (404, 405, 409, 413, 422),
    }
    unsent = request.method == "POST" and code in UNSENT
    return Pagina("gremio/aviso.html", NO_SE_ENVIO if unsent else TITULOS.get(code, OTRO), contexto)


def _frame(request: Request, response: Response, data: Any) -> dict[str, Any]:
    """Return what every page shows: who is logged in, and the answer in JSON."""
    # While the database is down nothing is asked of it: not even who sent the request.
    available = response.status_code < status.HTTP_500_INTERNAL_SERVER_ERROR
    usuario = request.user if available else None
    is_user = getattr(usuario, "is_authenticated", False)
    return {
        "usuario": usuario if is_user else None,
        "maestro": getattr(usuario, "maestro_id", None) is not None,
        "con_mensajes": available,
        "estado_http": f"{response.status_code} {response.status_text}",
        "json": JSONRenderer().render(data, "application/json; indent=2").decode(),
    }


def by_field(data: Any) -> dict[str, list[str]]:
    """Return the texts of an error's body by field; of a list of errors, under `detail`."""
    if isinstance(data, Mapping):
        return {str(name): _texts(value) for name, value in data.items()}
    return {"detail": _texts(data)}


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for inner in value.values() for text in _texts(inner)]
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list) else [str(value)]


def _sent(request: Request) -> list[tuple[str, str]]:
    """Return the fields and values of the form that was sent, without the key of its CSRF check."""
    try:
        fields = request.POST
    except APIException:  # the body could not be read, and the page says so
        return []
    pairs = [(str(name), str(value)[:MAX_LENGTH]) for name, values in fields.lists() for value in values]
    return [(name, value) for name, value in pairs if name != "csrfmiddlewaretoken"][:MAX_FIELDS]
