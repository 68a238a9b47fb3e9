"""What the pages for people use: their own files, bars, and the key of a form."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from django import template
from django.contrib.staticfiles import finders
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from kafka_bridge.publishing.rest import KEY

register = template.Library()


@register.simple_tag
def clave_de_envio() -> SafeString:
    """Return a hidden field that makes a form which is sent twice count once."""
    return format_html('<input type="hidden" name="{}" value="{}">', KEY, uuid4())


@register.simple_tag
def propio(name: str) -> str:
    """Return the address of a file in static/mamochi_site, which changes with its content.

    Browsers keep such a file for a year (settings.WHITENOISE_IMMUTABLE_FILE_TEST).
    """
    path = f"mamochi_site/{name}"
    return f"{static(path)}?v={_version(path)}"


@cache
def _version(path: str) -> str:
    return sha256(Path(str(finders.find(path))).read_bytes()).hexdigest()[:8]


@register.simple_tag
def barra(parte: float, clase: str = "") -> SafeString:
    """Return a horizontal bar as SVG, `parte` percent long; the text beside it says the same."""
    return format_html(
        '<svg class="barra {}" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="fondo" width="100" height="10"/><rect width="{}" height="10"/></svg>',
        clase,
        f"{min(max(parte, 0), 100):.1f}",
    )
