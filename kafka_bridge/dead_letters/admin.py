"""The admin of dead letters: list and read them, and correct, replay or discard them."""

from typing import Any, Final, cast

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action

from kafka_bridge.admin_base import ReadOnlyAdmin, pasted
from kafka_bridge.dead_letters import explain, reading
from kafka_bridge.dead_letters.actions import Actor, Summary, discard_all, replay, replay_all
from kafka_bridge.dead_letters.forms import MONOSPACED, AgeFilter, CorrectionForm, DiscardForm, StateFilter
from kafka_bridge.exceptions import AlreadyResolved, NotReplayable
from kafka_bridge.models import DeadLetter

# After this time the page says how many rows are left; another click, or the command, continues.
SECONDS_PER_REQUEST: Final = 15.0
LONGEST_SHOWN: Final = 50_000  # characters of a payload
LONGEST_OFFSET: Final = 18  # digits; more may not fit PostgreSQL's bigint
REPLAY: Final = pgettext_lazy("a message", "Replay")
DISCARD: Final = pgettext_lazy("a message", "Discard")


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Messages that a consumer could not apply."""

    list_display = ["since", "consumer", "kind", "reason", "why", "state", "coordinates"]
    list_display_links = ["since", "why"]
    list_filter = [
        StateFilter,
        ("consumer", admin.AllValuesFieldListFilter),
        ("event_type", admin.AllValuesFieldListFilter),
        "reason",
        AgeFilter,
    ]
    search_fields = ["event_id"]  # makes the search box appear; get_search_results does the search
    search_help_text = _("Id of the event, or offset")
    list_per_page = 50
    show_full_result_count = False
    actions = ["replay_selected", "discard_selected"]
    actions_detail = ["correct_and_replay", "discard_one"]
    fieldsets = [
        (_("What happened"), {"fields": ["consumer", "reason", "why", "error", "attempts", "created_at", "trace"]}),
        (
            _("The message"),
            {"fields": ["event_type", "payload", "key_text", "headers_text", "coordinates", "message_at"]},
        ),
        (
            _("What was done"),
            {"fields": ["state", "resolved_at", "resolved_by", "discard_reason", "corrected_payload"]},
        ),
    ]

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return True if the user may replay and view, because correcting shows the payload."""
        return self.has_view_permission(request) and request.user.has_perm("kafka_bridge.replay_deadletter")

    def has_discard_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return True if the user may discard and view."""
        return self.has_view_permission(request) and request.user.has_perm("kafka_bridge.discard_deadletter")

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeadLetter]:
        letters: QuerySet[DeadLetter] = super().get_queryset(request)
        return letters.defer("value", "corrected_value", "headers", "traceback", "key")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        """Search a number as an offset and anything else as an event id, in any case."""
        term = pasted(search_term)
        if not term:
            return queryset, False
        if term.isdecimal() and len(term) <= LONGEST_OFFSET:
            inside = Q(offset__lte=int(term), last_offset__gte=int(term))
            return queryset.filter(Q(offset=int(term)) | inside), False
        return queryset.filter(headers__contains=[["ce_id", term.lower()]]), False

    # Columns of the list

    @admin.display(description=pgettext_lazy("a moment", "since"), ordering="created_at")
    def since(self, letter: DeadLetter) -> str:
        return f"{timezone.localtime(letter.created_at):%d-%m-%Y %H:%M}"

    @admin.display(description=_("event type"), ordering="event_type")
    def kind(self, letter: DeadLetter) -> str:
        """Return the last two parts of the event type; the topic has the others."""
        return ".".join(letter.event_type.split(".")[-2:])

    @admin.display(description=_("why"))
    def why(self, letter: DeadLetter) -> str:
        return explain.why(letter)

    @admin.display(description=_("topic and offset"))
    def coordinates(self, letter: DeadLetter) -> str:
        return letter.place

    # Fields of the page of one dead letter

    @admin.display(description=_("content"))
    def payload(self, letter: DeadLetter) -> SafeString:
        """Return the content, or what is kept of it, below a line that says what is missing."""
        missing = reading.what_is_missing(letter)
        is_kept = letter.value is not None or not missing
        shown = _preformatted(reading.as_text(letter.value)) if is_kept else SafeString()
        return format_html("<p>{}</p>{}", missing, shown) if missing else shown

    @admin.display(description=_("corrected content"))
    def corrected_payload(self, letter: DeadLetter) -> SafeString | str:
        return _preformatted(reading.as_text(letter.corrected_value)) if letter.corrected_value else "-"

    @admin.display(description=_("key"))
    def key_text(self, letter: DeadLetter) -> SafeString:
        return _preformatted(reading.as_text(letter.key))

    @admin.display(description=_("headers"))
    def headers_text(self, letter: DeadLetter) -> SafeString:
        return _preformatted("\n".join(f"{name}: {value}" for name, value in letter.headers))

    @admin.display(description=_("traceback"))
    def trace(self, letter: DeadLetter) -> SafeString | str:
        return _preformatted(letter.traceback) if letter.traceback else "-"

    # Actions on one dead letter

    @action(description=_("Correct and replay"), permissions=["replay"], url_path="replay", icon="replay")
    def correct_and_replay(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = get_object_or_404(DeadLetter, pk=object_id)
        if letter.state != DeadLetter.State.OPEN:
            return self._redirect_resolved(request, letter)
        if missing := reading.what_is_missing(letter):
            self.message_user(request, missing, messages.ERROR)
            return _redirect_to(letter)
        form = CorrectionForm(letter, request.POST or None)
        if form.is_valid():
            try:
                replay(letter.pk, by=_actor(request), value=form.value, event_type=form.cleaned_data["event_type"])
            except NotReplayable as error:
                form.add_error("payload", str(error))  # shown with the form below
            except AlreadyResolved:
                letter.refresh_from_db()
                return self._redirect_resolved(request, letter)
            else:
                done = gettext('Replayed to "%(consumer)s", with the same event id.') % {"consumer": letter.consumer}
                self.message_user(request, done, messages.SUCCESS)
                return _redirect_to(letter)
        return self.render_page(
            request,
            "kafka_bridge/admin/correct.html",
            _("Correct and replay"),
            form=form,
            letter=letter,
            why=explain.why(letter),
            subtitle=str(letter),
        )

    @action(description=DISCARD, permissions=["discard"], url_path="discard", icon="delete")
    def discard_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        letter = get_object_or_404(DeadLetter, pk=object_id)
        if letter.state != DeadLetter.State.OPEN:
            return self._redirect_resolved(request, letter)
        return self._discard(request, DeadLetter.objects.filter(pk=letter.pk)) or _redirect_to(letter)

    def _redirect_resolved(self, request: HttpRequest, letter: DeadLetter) -> HttpResponseRedirect:
        """Return to the page of a resolved dead letter, with a warning of who resolved it."""
        note = gettext("Already %(state)s by %(who)s: nothing was done.")
        resolution = {"state": letter.get_state_display(), "who": letter.resolved_by}
        self.message_user(request, note % resolution, messages.WARNING)
        return _redirect_to(letter)

    # Actions on selected dead letters

    @admin.action(description=REPLAY, permissions=["replay"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Replay after a page of confirmation. None, for the list, once it is done."""
        if "confirmed" not in request.POST:
            return self._confirm(request, "replay_selected", _("Replay unprocessed messages"), queryset)
        summary = replay_all(queryset, by=_actor(request), seconds=SECONDS_PER_REQUEST)
        self._report(request, summary, gettext("%(count)d messages replayed."))
        return None

    @admin.action(description=_("Discard, with a reason"), permissions=["discard"])
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        return self._discard(request, queryset)

    def _discard(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Return the page that asks for the reason, until it is valid; None once it is done."""
        form = DiscardForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._confirm(request, "discard_selected", _("Discard unprocessed messages"), queryset, form)
        reason = form.cleaned_data["reason"]
        summary = discard_all(queryset, by=_actor(request), reason=reason, seconds=SECONDS_PER_REQUEST)
        self._report(request, summary, gettext("%(count)d messages discarded."))
        return None

    def _confirm(
        self,
        request: HttpRequest,
        action_name: str,
        title: Promise,
        queryset: QuerySet[DeadLetter],
        form: DiscardForm | None = None,
    ) -> HttpResponse:
        """Return the page that counts the affected messages by kind and asks for confirmation.

        Its form posts the selection again.
        """
        pending = queryset.filter(state=DeadLetter.State.OPEN)
        kinds = pending.order_by().values("consumer", "event_type", "reason").annotate(count=Count("pk"))
        reasons = dict(DeadLetter.Reason.choices)
        return self.render_page(
            request,
            "kafka_bridge/admin/confirm.html",
            title,
            action=action_name,
            form=form,
            kinds=[{**kind, "reason": reasons[kind["reason"]]} for kind in kinds.order_by("-count")[:50]],
            selected=request.POST.getlist("_selected_action"),
            select_across=request.POST.get("select_across", "0"),
            total=pending.count(),
        )

    def _report(self, request: HttpRequest, summary: Summary, done: str) -> None:
        """Show the outcome of an action. `done` has a placeholder for the count."""
        parts = [done % {"count": summary.done}]
        if summary.resolved_before:
            resolved = gettext("%(count)d were resolved by someone else in the meantime.")
            parts.append(resolved % {"count": summary.resolved_before})
        if summary.left:
            left = gettext("%(count)d are left: repeat the action, or use manage.py replay_dead_letters.")
            parts.append(left % {"count": summary.left})
        for explanation, count in summary.refused.most_common(5):
            refused = gettext("%(count)d cannot be replayed: %(explanation)s")
            parts.append(refused % {"count": count, "explanation": explanation})
        level = messages.SUCCESS if summary.done == summary.open else messages.WARNING
        self.message_user(request, " ".join(parts), level)


def _actor(request: HttpRequest) -> Actor:
    user = cast(AbstractBaseUser, request.user)
    return Actor(user.get_username(), user.pk)


def _redirect_to(letter: DeadLetter) -> HttpResponseRedirect:
    return redirect("admin:kafka_bridge_deadletter_change", letter.pk)


def _preformatted(text: str) -> SafeString:
    """Return the text in a monospaced block, cut off at LONGEST_SHOWN characters."""
    if len(text) > LONGEST_SHOWN:
        cut = gettext("… (%(count)d characters)") % {"count": len(text)}
        text = f"{text[:LONGEST_SHOWN]}\n{cut}"
    style = f"{MONOSPACED}; white-space: pre-wrap; overflow-wrap: anywhere"
    return format_html('<pre style="{}">{}</pre>', style, text)
