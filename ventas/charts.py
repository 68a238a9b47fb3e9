"""Bar charts as inline SVG, for the browsable API and the admin: no script, no image from elsewhere."""

from collections.abc import Sequence

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

ANCHO, ALTO, BASE = 640, 200, 160  # the drawing's own units; the page scales it


def barras(valores: Sequence[tuple[str, int]], *, titulo: str) -> SafeString:
    """One bar a value (label, whole CLP), the highest as high as the drawing; a negative one hangs at zero."""
    maximo = max([valor for _, valor in valores], default=0) or 1
    paso = ANCHO / max(len(valores), 1)
    columnas = [
        {
            "etiqueta": etiqueta,
            "valor": valor,
            "x": round(indice * paso + paso * 0.15, 1),
            "centro": round(indice * paso + paso / 2, 1),
            "ancho": round(paso * 0.7, 1),
            "alto": (alto := round(max(valor, 0) / maximo * (BASE - 30), 1)),
            "y": round(BASE - alto, 1),
        }
        for indice, (etiqueta, valor) in enumerate(valores)
    ]
    contexto = {"columnas": columnas, "titulo": titulo, "ancho": ANCHO, "alto": ALTO, "base": BASE}
    return render_to_string("ventas/barras.svg", contexto)
