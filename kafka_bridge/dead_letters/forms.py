"""Forms and filters of the admin of dead letters."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec
from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from kafka_bridge.dead_letters import explain, reading
from kafka_bridge.models import DeadLetter

# The style sheet of django-unfold has no class for a monospaced font.
MONOSPACED: Final = "font-family: ui-monospace, Menlo, Consolas, monospace"
LONGEST_DISCARD_REASON: Final = 500  # characters


class StateFilter(admin.SimpleListFilter):
    """Filter by state; open dead letters unless another state is chosen."""

    title = pgettext_lazy("of a dead letter", "state")
    parameter_name = "state"
    ANY: Final = "any"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        states = [(str(value), str(label)) for value, label in DeadLetter.State.choices]
        return [*states, (self.ANY, str(pgettext_lazy("states", "all")))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for value, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self._chosen == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        return queryset if self._chosen == self.ANY else queryset.filter(state=self._chosen)

    @property
    def _chosen(self) -> str:
        return self.value() or str(DeadLetter.State.OPEN)


@dataclass(frozen=True)
class Age:
    """One choice of the filter by age: rows younger, or older, than `limit`."""

    label: Promise
    limit: timedelta
    older: bool = False

    def condition(self, now: datetime) -> Q:
        """Return the condition on `created_at`."""
        return Q(created_at__lt=now - self.limit) if self.older else Q(created_at__gte=now - self.limit)


class AgeFilter(admin.SimpleListFilter):
    """Filter by the time since the consumer set the message aside."""

    title = _("age")
    parameter_name = "age"
    AGES: Final = {
        "hour": Age(_("last hour"), timedelta(hours=1)),
        "day": Age(_("last day"), timedelta(days=1)),
        "week": Age(_("last week"), timedelta(days=7)),
        "over-a-day": Age(_("more than a day"), timedelta(days=1), older=True),
        "over-a-week": Age(_("more than a week"), timedelta(days=7), older=True),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, str(age.label)) for value, age in self.AGES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        age = self.AGES.get(self.value() or "")
        return queryset.filter(age.condition(timezone.now())) if age else queryset


class CorrectionForm(forms.Form):
    """The payload to edit, and the event type.

    The type can be chosen only if the message names none that its consumer handles.
    """

    event_type = forms.ChoiceField(label=_("Event type"), widget=UnfoldAdminSelectWidget)
    payload = forms.CharField(
        label=_("Content (JSON)"),
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 24, "spellcheck": "false", "style": MONOSPACED}),
        help_text=_(
            "The id of the event does not change: if it was already applied, a replay does not count it again."
        ),
    )

    def __init__(self, letter: DeadLetter, data: Any = None) -> None:
        self.original = reading.as_text(letter.value)
        declared = reading.declared_type(letter)
        super().__init__(data, initial={"payload": self.original, "event_type": declared})
        handled = reading.handled_types(letter.consumer)
        selectable = [declared] if declared in handled else handled
        cast(forms.ChoiceField, self.fields["event_type"]).choices = [(name, name) for name in selectable]

    def clean_payload(self) -> str:
        """Return the payload with LF line ends, since browsers send CRLF.

        Raises ValidationError with the line and column of a JSON error.
        """
        text = str(self.cleaned_data["payload"]).replace("\r\n", "\n")
        if mistake := explain.syntax_error(text):
            raise forms.ValidationError(mistake)
        return text

    @property
    def value(self) -> bytes | None:
        """The corrected payload, as compact JSON; None if nothing was changed."""
        text = self.cleaned_data["payload"]
        return None if text == self.original else msgspec.json.format(text.encode(), indent=-1)


class DiscardForm(forms.Form):
    """The reason for discarding messages for good."""

    reason = forms.CharField(
        label=pgettext_lazy("for a discard", "Reason"),
        max_length=LONGEST_DISCARD_REASON,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=_("It is kept with each message. Do not write personal data here."),
    )
