"""The OpenAPI document: valid, in Spanish, made without a database, which no test here may use."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import validate

ENGLISH = re.compile(r"\b(the|is|are|not|this|that|of|body|response|page|answer|returns?|list of|which)\b", re.I)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(Client().get("/api/schema/?format=json").content)
    return made


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Return each object of the document, at any depth."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


def test_document_is_valid_without_a_database(document: dict[str, Any]) -> None:
    validate(document)


def test_no_choice_is_empty(document: dict[str, Any]) -> None:
    assert [part for part in parts(document) if part.get("enum") == []] == []


def test_descriptions_are_spanish(document: dict[str, Any]) -> None:
    texts = [part["description"] for part in parts(document) if isinstance(part.get("description"), str)]
    assert texts
    assert [text for text in texts if ENGLISH.search(text)] == []


def test_examples_obey_their_schemas(document: dict[str, Any]) -> None:
    with_example = [part for part in parts(document) if "example" in part]
    assert with_example
    for part in with_example:
        OAS30Validator(part).validate(part["example"])
