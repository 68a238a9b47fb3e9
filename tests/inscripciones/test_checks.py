"""Another SECRET_KEY than the one of the enrolments is named."""

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from inscripciones.checks import check_secret_key
from tests.support.people import make_form, register

pytestmark = pytest.mark.django_db


def test_own_key_is_right() -> None:
    enrol()
    assert check_secret_key(databases=["default"]) == []


def test_empty_database_says_nothing() -> None:
    assert check_secret_key(databases=["default"]) == []


def test_other_key_is_named(settings: Any) -> None:
    enrol()
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another-" + "x" * 50
    with pytest.raises(SystemCheckError, match="SECRET_KEY is another one than before"):
        call_command("check", databases=["default"])
    settings.SECRET_KEY_FALLBACKS = [before]
    assert check_secret_key(databases=["default"]) == []


def test_key_that_was_wrong_for_a_while_is_right_again(settings: Any) -> None:
    enrol()
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another-" + "x" * 50
    enrol(25)
    settings.SECRET_KEY = before
    assert check_secret_key(databases=["default"]) == []


def enrol(times: int = 1) -> None:
    """Write enrolments with ids as the API issues them."""
    for _ in range(times):
        register(make_form())
