"""The admin as the people of the group Revisores use it."""

import pytest
from django.test import Client
from pytest_django import Settings

from inscripciones.models import Usuario
from inscripciones.seed import GRUPO
from tests.support.staff import make_staff


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def reviewer(client: Client) -> Usuario:
    """Return a reviewer, who is logged in with `client`."""
    user = make_staff("revisora", GRUPO)
    client.force_login(user)
    return user
