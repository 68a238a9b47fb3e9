"""What holds for every form of the admin and every body of the API, also for those of tomorrow."""

from collections.abc import Iterator
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.test import RequestFactory
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers

from gremio.admin_forms import CleanSearch, NoLostUpdates
from gremio.lectura import form_fields, serializer_fields
from inscripciones.admin.search import search_people
from inscripciones.models import Usuario
from kafka_bridge.models import DeadLetter
from ventas.admin.maestro_rows import MaestroRowsAdmin

OURS = ("gremio", "inscripciones", "mamochi_site", "stock", "ventas")
pytestmark = pytest.mark.django_db


def request_of_superuser() -> Any:
    request = RequestFactory().get("/")
    request.user = Usuario(is_superuser=True, is_staff=True, is_active=True)
    return request


def subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for one in base.__subclasses__():
        yield one
        yield from subclasses(one)


def editable_admins() -> list[Any]:
    request = request_of_superuser()
    pages = admin.site._registry.values()
    return [page for page in pages if page.has_change_permission(request) or page.has_add_permission(request)]


def forms_of(page: Any) -> Iterator[Any]:
    request = request_of_superuser()
    for obj in (None, page.model()):
        yield page.get_form(request, obj, change=obj is not None)
        for inline in page.get_inline_instances(request, obj):
            yield inline.get_formset(request, obj).form
    yield page.get_changelist_form(request)


def test_every_box_of_the_admin_reads_chilean_numbers() -> None:
    found = [form for page in editable_admins() for form in forms_of(page)]
    # The boxes of a ModelForm are made by its page; other forms are as their class says.
    plain = [form for form in subclasses(forms.BaseForm) if not issubclass(form, forms.BaseModelForm)]
    found += [form for form in plain if form.__module__.startswith(OURS)]
    checked = 0
    for form in found:
        for name, box in form.base_fields.items():
            if isinstance(box.widget, forms.HiddenInput):
                continue  # ours, not typed
            if isinstance(box, forms.DecimalField):
                assert isinstance(box, form_fields.DecimalField), (form, name)
            elif isinstance(box, forms.IntegerField):
                assert isinstance(box, form_fields.EnteroField), (form, name)
                checked += 1
    assert checked >= 6


def test_every_box_of_a_text_cleans_it() -> None:
    plain = [form for form in subclasses(forms.BaseForm) if not issubclass(form, forms.BaseModelForm)]
    boxes = [box for form in plain if form.__module__.startswith(OURS) for box in vars(form)["base_fields"].values()]
    typed = [box for box in boxes if type(box) in (forms.CharField, forms.EmailField)]
    assert len(boxes) >= 5
    assert typed == []


def test_every_number_in_a_body_is_read_strictly() -> None:
    generator: Any = SchemaGenerator
    schema = generator().get_schema(request=None, public=True)
    bodies = str([operation.get("requestBody") for path in schema["paths"].values() for operation in path.values()])
    read = [
        one
        for one in subclasses(serializers.Serializer)
        if one.__module__.startswith(OURS) and f"/{one.__name__.removesuffix('Serializer')}'" in bodies
    ]
    assert len(read) >= 3
    for serializer in read:
        for name, field in serializer().get_fields().items():
            assert not isinstance(field, serializers.DecimalField | serializers.FloatField), (serializer, name)
            if isinstance(field, serializers.IntegerField):
                assert isinstance(field, serializer_fields.EnteroField), (serializer, name)
            if isinstance(field, serializers.EmailField):
                assert isinstance(field, serializer_fields.CorreoField), (serializer, name)
            elif isinstance(field, serializers.CharField):
                assert isinstance(field, serializer_fields.TextoField), (serializer, name)


def test_every_editable_page_loses_no_update() -> None:
    pages = editable_admins()
    assert len(pages) >= 10
    for page in pages:
        assert not getattr(page, "list_editable", ()), page  # a list compares nothing
        assert isinstance(page, NoLostUpdates), page


def test_every_search_box_is_cleaned() -> None:
    # The engine's page cleans by itself (test_admin_list.py).
    for model, page in admin.site._registry.items():
        if page.search_fields and model is not DeadLetter:
            in_its_search = search_people.__name__ in type(page).get_search_results.__code__.co_names
            assert in_its_search or isinstance(page, CleanSearch | MaestroRowsAdmin), page
