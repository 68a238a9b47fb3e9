"""The rows of a new installation."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group

from inscripciones.seed import GRUPO, sembrar

pytestmark = pytest.mark.django_db


def test_seeding_again_keeps_changes_of_staff() -> None:
    grupo = Group.objects.get(name=GRUPO)
    assert grupo.permissions.filter(codename="aprobar_inscripcion").exists()
    grupo.permissions.clear()
    sembrar(apps)
    assert (Group.objects.filter(name=GRUPO).count(), grupo.permissions.count()) == (1, 0)
