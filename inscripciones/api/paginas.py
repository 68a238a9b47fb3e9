"""The pages of enrolment and of a maestro's token, made of what the API answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

from django.conf import settings

from gremio.api.paginas import Pagina, Pedido
from gremio.api.requests import zona
from gremio.formats import cuando, dia
from inscripciones.api.serializers import FormularioSerializer

# How a browser fills in and asks for each field: attributes of its box.
CAJAS: Final = {
    "nombre": {"autocomplete": "name"},
    "rut": {"autocomplete": "off", "autocapitalize": "none"},
    "email": {"autocomplete": "email", "type": "email"},
    "telefono": {"autocomplete": "tel", "type": "tel"},
    "comuna": {"autocomplete": "address-level2"},
    "comprobante_pago": {"autocomplete": "off"},
}
OPCIONAL: Final = "comprobante_pago"


@dataclass(frozen=True)
class Paso:
    """A step of an enrolment. `clase`: `listo`, `actual`, `no` or empty (not yet)."""

    titulo: str
    texto: str
    clase: str = ""


def inicio(pedido: Pedido) -> Pagina:
    """Return the first page: where to go, for a maestro, for staff and for a visitor."""
    nombre = getattr(pedido.request.user, "first_name", "")
    return Pagina("inscripciones/inicio.html", "MAMOCHI", {"nombre": nombre.partition(" ")[0]})


def formulario(pedido: Pedido) -> Pagina:
    """Return the enrolment form, with what was typed and what is wrong with it."""
    campos = [_campo(nombre, campo, pedido) for nombre, campo in FormularioSerializer().fields.items()]
    names = {campo["nombre"] for campo in campos}
    contexto = {
        "campos": campos,
        "errores": [
            {"campo": campo["nombre"], "nombre": campo["etiqueta"], "texto": texto}
            for campo in campos
            for texto in campo["errores"]
        ]
        + [{"texto": texto} for campo in sorted(set(pedido.errores) - names) for texto in pedido.errores[campo]],
    }
    return Pagina("inscripciones/inscribirse.html", "Inscríbete en el gremio", contexto)


def _campo(nombre: str, campo: Any, pedido: Pedido) -> dict[str, Any]:
    return {
        "nombre": nombre,
        "etiqueta": campo.label or nombre.capitalize(),
        "ayuda": campo.help_text,
        "casilla": nombre == "paid",
        "caja": CAJAS.get(nombre, {}),
        "requerido": nombre not in (OPCIONAL, "paid"),
        "largo": getattr(campo, "max_length", None),
        "valor": pedido.escrito.get(nombre, ""),
        "errores": pedido.errores.get(nombre, []),
    }


def seguimiento(pedido: Pedido) -> Pagina:
    """Return an enrolment, step by step."""
    contexto = {"pasos": _pasos(pedido.data, pedido.ahora), "estado": pedido.data["estado"]}
    return Pagina("inscripciones/seguimiento.html", "Mi inscripción", contexto)


def _pasos(datos: dict[str, Any], ahora: datetime) -> list[Paso]:
    estado = datos["estado"]
    recibida = Paso("Recibida", _moment(datos["recibida_en"], ahora) or "Está guardada.", "listo")
    primero = "Pagaste, así que tu revisión va primero." if datos["via"] == "paid" else "Va por orden de llegada."
    if estado == "aprobada":
        revision = Paso("Revisada", _moment(datos["resuelta_en"], ahora), "listo")
        return [
            recibida,
            revision,
            Paso("Aprobada", "Ya eres parte del gremio.", "listo"),
            Paso(
                "Entra con tu token",
                "Te llega en el correo «Tus credenciales de MAMOCHI». Si no lo ves, mira en el correo no deseado.",
                "actual",
            ),
        ]
    if estado == "rechazada":
        return [
            recibida,
            Paso("Revisada", _moment(datos["resuelta_en"], ahora), "listo"),
            Paso("No fue aprobada", datos["motivo"] or "", "no"),
        ]
    return [
        recibida,
        Paso("En revisión", f"{primero} Vuelve a esta página cuando quieras.", "actual"),
        Paso("Respuesta", "Te llega por correo, y también la ves aquí."),
        Paso("Entra con tu token", "Con el token de tu correo empiezas a vender."),
    ]


def _moment(text: str | None, ahora: datetime) -> str:
    if not text:
        return ""
    return cuando(datetime.fromisoformat(text), ahora=ahora, zona=ZoneInfo(settings.TIME_ZONE)).capitalize()


def tokens(pedido: Pedido) -> Pagina:
    """Return the maestro's token: how it begins, since when, until when."""
    en = zona(pedido.request)
    filas = [
        {
            "clave": fila["clave"],
            "creado": cuando(datetime.fromisoformat(fila["creado_en"]), ahora=pedido.ahora, zona=en),
            "vence": dia(datetime.fromisoformat(fila["vence_en"]), ahora=pedido.ahora, zona=en),
        }
        for fila in cast(list[dict[str, Any]], pedido.data)
    ]
    return Pagina("inscripciones/tokens.html", "Mi token", {"tokens": filas})


def token_nuevo(pedido: Pedido) -> Pagina:
    """Return a new token, which no other page shows again."""
    vence = dia(datetime.fromisoformat(pedido.data["vence_en"]), ahora=pedido.ahora, zona=zona(pedido.request))
    return Pagina("inscripciones/token_nuevo.html", "Tu token nuevo", {"token": pedido.data["token"], "vence": vence})
