"""People who work in the admin."""

from typing import Any

from django.contrib.auth.models import Group

from inscripciones.models import Usuario


def make_staff(name: str, *groups: str, **fields: Any) -> Usuario:
    """Return a new user of the admin, in these groups."""
    user = Usuario.objects.create_user(name, password="clave", is_staff=True, **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user
