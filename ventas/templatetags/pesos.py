"""Template filters for money and numbers: `{{ monto|pesos }}`, `{{ cantidad|miles }}`."""

from django import template

from gremio import formats

register = template.Library()
register.filter(formats.pesos)
register.filter(formats.miles)
