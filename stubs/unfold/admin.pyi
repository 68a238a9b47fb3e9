"""Types of the part of django-unfold that this project uses; unfold itself is not typed."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse

class ModelAdmin(admin.ModelAdmin[Any]):
    list_before_template: ClassVar[str | None]
    actions_list: ClassVar[Sequence[str]]
    actions_detail: ClassVar[Sequence[str]]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = ...) -> TemplateResponse: ...

class TabularInline(admin.TabularInline[Any, Any]): ...
