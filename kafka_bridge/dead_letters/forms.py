"""TODO."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, ClassVar, Final

import msgspec
from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from kafka_bridge.dead_letters import explain, reading
from kafka_bridge.dead_letters.reading import _types_of
from kafka_bridge.models import DeadLetter

MONOSPACED: Final = "font-family: ui-monospace, Menlo, Consolas, monospace"  # unfold's style sheet has no class for it
REASON_LENGTH: Final = 500


class StateFilter(admin.SimpleListFilter):
    """What is pending, unless another state is asked for."""

    title = "estado"
    parameter_name = "estado"
    ANY = "todos"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((str(value), str(label)) for value, label in DeadLetter.State.choices), (self.ANY, "todos")]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        chosen = self.value() or DeadLetter.State.OPEN
        for value, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": chosen == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        chosen = self.value() or DeadLetter.State.OPEN
        return queryset if chosen == self.ANY else queryset.filter(state=chosen)


class AgeFilter(admin.SimpleListFilter):
    """How long ago the consumer gave up on it."""

    title = "antigüedad"
    parameter_name = "antiguedad"
    NEWER: ClassVar = {"hora": timedelta(hours=1), "dia": timedelta(days=1), "semana": timedelta(days=7)}
    OLDER: ClassVar = {"mas-de-un-dia": timedelta(days=1), "mas-de-una-semana": timedelta(days=7)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("hora", "última hora"),
            ("dia", "último día"),
            ("semana", "última semana"),
            ("mas-de-un-dia", "más de un día"),
            ("mas-de-una-semana", "más de una semana"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        chosen, now = self.value() or "", timezone.now()
        if chosen in self.NEWER:
            return queryset.filter(created_at__gte=now - self.NEWER[chosen])
        if chosen in self.OLDER:
            return queryset.filter(created_at__lt=now - self.OLDER[chosen])
        return queryset


class CorrectionForm(forms.Form):
    """The payload as staff edit it, and the type where the message names none that is declared."""

    event_type = forms.ChoiceField(label="Tipo de evento", widget=UnfoldAdminSelectWidget)
    payload = forms.CharField(
        label="Contenido (JSON)",
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24, "spellcheck": "false", "style": MONOSPACED}),
        help_text="El id del evento no se cambia: si ya se aplicó, reenviarlo no lo cuenta otra vez.",
    )

    def __init__(self, letter: DeadLetter, data: Any = None) -> None:
        self.letter = letter
        self.original = reading.as_text(letter.value)
        declared = reading.declared_type(letter)
        super().__init__(data, initial={"payload": self.original, "event_type": declared})
        handled = _types_of(letter.consumer)
        self.fields["event_type"].choices = [(name, name) for name in ([declared] if declared in handled else handled)]  # type: ignore[attr-defined]

    def clean_payload(self) -> str:
        """Browsers send CRLF. Raises ValidationError with the line and column of a mistake."""
        text = str(self.cleaned_data["payload"]).replace("\r\n", "\n")
        if mistake := explain.syntax_error(text):
            raise forms.ValidationError(mistake)
        return text

    @property
    def value(self) -> bytes | None:
        """The corrected payload in bytes; None where nothing was changed."""
        text = self.cleaned_data["payload"]
        return None if text == self.original else msgspec.json.format(text.encode(), indent=-1)


class DiscardForm(forms.Form):
    """Why staff discard messages for good."""

    reason = forms.CharField(
        label="Motivo",
        max_length=REASON_LENGTH,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Queda guardado junto a cada mensaje. No escribas aquí RUT ni correos.",
    )
