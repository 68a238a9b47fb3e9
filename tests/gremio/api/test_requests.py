"""Whose request it is, and the answer 202."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from gremio.api.requests import accepted, maestro_id


def request_of(user: Any) -> Request:
    """Return a request of a user, of whom only `maestro_id` is read."""
    request = Request(APIRequestFactory().get("/"))
    request.user = user
    return request


def test_a_request_belongs_to_its_maestro() -> None:
    own_id = uuid4()
    assert maestro_id(request_of(SimpleNamespace(maestro_id=own_id))) == own_id


@pytest.mark.parametrize("user", [SimpleNamespace(maestro_id=None), SimpleNamespace()])
def test_a_request_of_staff_is_refused(user: object) -> None:
    with pytest.raises(PermissionDenied):
        maestro_id(request_of(user))


def test_accepted_may_have_a_location() -> None:
    assert (accepted({"id": 1}).status_code, accepted({"id": 1}).data) == (202, {"id": 1})
    assert accepted({}, location="/x/")["Location"] == "/x/"
    assert "Location" not in accepted({})
