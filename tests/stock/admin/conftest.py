"""Fixtures of the tests of stock's admin."""

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _static_files_need_no_manifest(settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def staff(client: Client, db: None) -> Client:
    """Return a client that is logged in as a superuser."""
    client.force_login(get_user_model().objects.create_superuser("admin"))
    return client
