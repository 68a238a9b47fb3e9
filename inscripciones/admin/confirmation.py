"""Pages that ask staff to confirm a change, mostly with a reason."""

from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextareaWidget

# As many rows as one page can show before they are decided.
MAX_AT_ONCE: Final = 200
FOR_THE_HISTORY: Final = "Queda en la historia, para el gremio."


class MotivoForm(forms.Form):
    """The reason for a change."""

    motivo = forms.CharField(label="Motivo", max_length=500, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))

    def __init__(self, *args: Any, required: bool, help_text: str = FOR_THE_HISTORY, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["motivo"].required = required
        self.fields["motivo"].help_text = help_text


def page(model_admin: ModelAdmin, request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    """Render a page of the admin from `templates/inscripciones/admin/`."""
    shared = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": title}
    return TemplateResponse(request, f"inscripciones/admin/{template}", {**shared, **context})
