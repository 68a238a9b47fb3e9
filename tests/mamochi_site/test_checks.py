"""Settings that would lose e-mails in production, which `manage.py check --deploy` reports."""

from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from mamochi_site import checks


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("django.core.mail.backends.smtp.EmailBackend", []),
        ("django.core.mail.backends.console.EmailBackend", ["mamochi_site.E001"]),
    ],
)
def test_mail_must_be_sent(backend: str, expected: list[str]) -> None:
    assert [message.id for message in checks.mail_leaves(backend)] == expected


def test_runs_with_deploy_only(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    call_command("check")
    with pytest.raises(SystemCheckError, match=r"mamochi_site\.E001"):
        call_command("check", tags=["mail"], deploy=True)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://valkey.example:6379/0", ["mamochi_site.W004"]),
        ("rediss://:secret@valkey.example:6379/0", []),
        ("redis://127.0.0.1:6379/0", []),
        ("", []),
    ],
)
def test_broker_must_ask_for_a_password(url: str, expected: list[str]) -> None:
    assert [message.id for message in checks.broker_asks("CELERY_BROKER_URL", url)] == expected
