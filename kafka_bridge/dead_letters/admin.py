"""TODO."""

from typing import Any, Final, cast

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action

from kafka_bridge.admin_base import ReadOnlyAdmin
from kafka_bridge.dead_letters import actions as dead_letter_actions
from kafka_bridge.dead_letters import explain, reading
from kafka_bridge.dead_letters.actions import Actor, Summary
from kafka_bridge.dead_letters.forms import MONOSPACED, AgeFilter, CorrectionForm, DiscardForm, StateFilter
from kafka_bridge.exceptions import AlreadyResolved, NotReplayable
from kafka_bridge.models import DeadLetter

SECONDS_A_REQUEST: Final = 15.0  # what is left after that takes another click, or the command
LONGEST_SHOWN: Final = 50_000  # characters of a payload on the page


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages that a consumer could not apply: correct, replay or discard them."""

    list_display = ["since", "consumer", "kind", "reason", "why", "state", "coordinates"]
    list_display_links = ["since", "why"]
    list_filter = [
        StateFilter,
        ("consumer", admin.AllValuesFieldListFilter),
        ("event_type", admin.AllValuesFieldListFilter),
        "reason",
        AgeFilter,
    ]
    search_fields = ["event_id"]  # see get_search_results
    search_help_text = "Id del evento, u offset"
    list_per_page = 50
    show_full_result_count = False
    actions = ["replay_selected", "discard_selected"]
    actions_detail = ["correct_and_replay", "discard_one"]
    fieldsets = [
        ("Qué pasó", {"fields": ["consumer", "reason", "why", "error", "attempts", "created_at", "trace"]}),
        ("El mensaje", {"fields": ["event_type", "payload", "key_text", "headers_text", "coordinates", "message_at"]}),
        ("Qué se hizo", {"fields": ["state", "resolved_at", "resolved_by", "discard_reason", "corrected_payload"]}),
    ]

    # Who may

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Correcting shows the payload, so it also takes the permission to view."""
        return self.has_view_permission(request) and request.user.has_perm("kafka_bridge.replay_deadletter")

    def has_discard_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request) and request.user.has_perm("kafka_bridge.discard_deadletter")

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        letters: QuerySet[DeadLetter] = super().get_queryset(request)
        return letters.defer("value", "corrected_value", "headers", "traceback", "key")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.isdecimal() and len(term) < 19:
            return queryset.filter(offset=int(term)), False
        return queryset.filter(headers__contains=[["ce_id", term.lower()]]), False

    @admin.display(description="desde", ordering="created_at")
    def since(self, letter: DeadLetter) -> str:
        return f"{timezone.localtime(letter.created_at):%d-%m-%Y %H:%M}"

    @admin.display(description="tipo de evento", ordering="event_type")
    def kind(self, letter: DeadLetter) -> str:
        """Without the parts that its topic says too."""
        return ".".join(letter.event_type.split(".")[-2:])

    @admin.display(description="por qué")
    def why(self, letter: DeadLetter) -> str:
        return explain.why(letter)

    @admin.display(description="tópico y offset")
    def coordinates(self, letter: DeadLetter) -> str:
        return f"{letter.topic}[{letter.partition}] @ {letter.offset}"

    # The page of one

    @admin.display(description="contenido")
    def payload(self, letter: DeadLetter) -> SafeString:
        return _preformatted(reading.as_text(letter.value))

    @admin.display(description="contenido corregido")
    def corrected_payload(self, letter: DeadLetter) -> SafeString | str:
        return _preformatted(reading.as_text(letter.corrected_value)) if letter.corrected_value else "-"

    @admin.display(description="clave")
    def key_text(self, letter: DeadLetter) -> SafeString:
        return _preformatted(reading.as_text(letter.key))

    @admin.display(description="cabeceras")
    def headers_text(self, letter: DeadLetter) -> SafeString:
        return _preformatted("\n".join(f"{name}: {value}" for name, value in letter.headers))

    @admin.display(description="traza")
    def trace(self, letter: DeadLetter) -> SafeString | str:
        return _preformatted(letter.traceback) if letter.traceback else "-"

    # What can be done

    @action(description="Corregir y reenviar", permissions=["replay"], url_path="reenviar", icon="replay")
    def correct_and_replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = get_object_or_404(DeadLetter, pk=object_id)
        if letter.state != DeadLetter.State.OPEN:
            return self._already_resolved(request, letter)
        form = CorrectionForm(letter, request.POST or None)
        if form.is_valid() and (answer := self._replayed(request, letter, form)):
            return answer
        context = {"form": form, "letter": letter, "why": explain.why(letter), "subtitle": str(letter)}
        return self._page(request, "correct.html", "Corregir y reenviar", context)

    def _replayed(self, request: HttpRequest, letter: DeadLetter, form: CorrectionForm) -> HttpResponse | None:
        """None where the payload does not fit: the form then says which field."""
        try:
            dead_letter_actions.replay(
                letter.pk, by=_actor(request), value=form.value, event_type=form.cleaned_data["event_type"]
            )
        except NotReplayable as error:
            form.add_error("payload", str(error))
            return None
        except AlreadyResolved:
            letter.refresh_from_db()
            return self._already_resolved(request, letter)
        self.message_user(request, f"Reenviado a «{letter.consumer}», con el mismo id de evento.", messages.SUCCESS)
        return redirect("admin:kafka_bridge_deadletter_change", letter.pk)

    def _already_resolved(self, request: HttpRequest, letter: DeadLetter) -> HttpResponse:
        note = f"Ya está {letter.get_state_display()} por {letter.resolved_by}: no se hizo nada."
        self.message_user(request, note, messages.WARNING)
        return redirect("admin:kafka_bridge_deadletter_change", letter.pk)

    @action(description="Descartar", permissions=["discard"], url_path="descartar", icon="delete")
    def discard_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = get_object_or_404(DeadLetter, pk=object_id)
        if letter.state != DeadLetter.State.OPEN:
            return self._already_resolved(request, letter)
        answer = self._discard(request, DeadLetter.objects.filter(pk=letter.pk))
        return answer or redirect("admin:kafka_bridge_deadletter_change", letter.pk)

    @admin.action(description="Reenviar", permissions=["replay"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        if "confirmed" not in request.POST:
            return self._confirm(request, "replay_selected", "Reenviar mensajes no procesados", queryset)
        summary = dead_letter_actions.replay_all(queryset, by=_actor(request), seconds=SECONDS_A_REQUEST)
        self._tell(request, summary, "reenviados")
        return None

    @admin.action(description="Descartar, con un motivo", permissions=["discard"])
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        return self._discard(request, queryset)

    def _discard(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """The page that asks for the reason, until there is one; None once it is done."""
        form = DiscardForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._confirm(request, "discard_selected", "Descartar mensajes no procesados", queryset, form)
        reason = form.cleaned_data["reason"]
        summary = dead_letter_actions.discard_all(
            queryset, by=_actor(request), reason=reason, seconds=SECONDS_A_REQUEST
        )
        self._tell(request, summary, "descartados")
        return None

    def _tell(self, request: HttpRequest, summary: Summary, done: str) -> None:
        level = messages.SUCCESS if summary.done == summary.open else messages.WARNING
        parts = [f"{summary.done} mensajes {done}."]
        if summary.resolved_before:
            parts.append(f"{summary.resolved_before} los resolvió alguien más mientras tanto.")
        if summary.left:
            parts.append(f"Quedan {summary.left}: repite la acción, o usa manage.py replay_dead_letters.")
        parts += [f"{count} no se pueden reenviar: {why}" for why, count in summary.refused.most_common(5)]
        self.message_user(request, " ".join(parts), level)

    def _confirm(
        self,
        request: HttpRequest,
        name: str,
        title: str,
        queryset: QuerySet[DeadLetter],
        form: DiscardForm | None = None,
    ) -> HttpResponse:
        """What would be done, by kind, before it is done. It posts back what was selected."""
        pending = queryset.filter(state=DeadLetter.State.OPEN)
        kinds = pending.order_by().values("consumer", "event_type", "reason").annotate(count=Count("pk"))
        reasons = dict(DeadLetter.Reason.choices)
        context = {
            "action": name,
            "form": form,
            "kinds": [{**kind, "reason": reasons[kind["reason"]]} for kind in kinds.order_by("-count")[:50]],
            "selected": request.POST.getlist("_selected_action"),
            "select_across": request.POST.get("select_across", "0"),
            "total": pending.count(),
        }
        return self._page(request, "confirm.html", title, context)

    def _page(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> HttpResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, f"kafka_bridge/admin/{template}", {**shared, **context})


def _actor(request: HttpRequest) -> Actor:
    user = cast(AbstractBaseUser, request.user)
    return Actor(user.get_username(), user.pk)


def _preformatted(text: str) -> SafeString:
    shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}\n… ({len(text)} caracteres)"
    return format_html(
        '<pre style="{}">{}</pre>', f"{MONOSPACED}; white-space: pre-wrap; overflow-wrap: anywhere", shown
    )
