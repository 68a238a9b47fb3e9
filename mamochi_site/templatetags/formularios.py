"""What the forms of the browsable API send besides their fields."""

from uuid import uuid4

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from kafka_bridge.publishing.rest import KEY

register = template.Library()


@register.simple_tag
def clave_de_envio() -> SafeString:
    """Return a hidden field that makes a form which is sent twice count once."""
    return format_html('<input type="hidden" name="{}" value="{}">', KEY, uuid4())
