"""Template filter for durations in seconds: `{{ segundos|duracion }}`."""

from django import template

from gremio import formats

register = template.Library()
register.filter(formats.duracion)
