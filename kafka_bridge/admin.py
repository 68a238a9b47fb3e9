"""The engine's admin: dead letters, pages of the whole system, consumer offsets and the outbox."""

from typing import cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from kafka_bridge.admin_base import ReadOnlyAdmin
from kafka_bridge.dead_letters.admin import DeadLetterAdmin
from kafka_bridge.dead_letters.forms import DiscardForm
from kafka_bridge.models import ConsumerOffset, OutboxMessage
from kafka_bridge.monitoring.admin import LookupPageAdmin, OverviewPageAdmin
from kafka_bridge.publishing import outbox

__all__ = ["ConsumerOffsetAdmin", "DeadLetterAdmin", "LookupPageAdmin", "OutboxMessageAdmin", "OverviewPageAdmin"]


@admin.register(ConsumerOffset)
class ConsumerOffsetAdmin(ReadOnlyAdmin):
    """The next offset of each consumer in each partition."""

    list_display = ["consumer", "topic", "partition", "next_offset", "updated_at"]
    list_filter = ["consumer", "topic"]
    ordering = ["consumer", "topic", "partition"]


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    """Messages that wait for Kafka, or that Kafka refused: those are sent again or discarded here.

    The payload is hidden, because it may hold personal data.
    """

    list_display = ["event_id", "topic", "partition", "priority", "created_at", "refused_at", "refusal", "size"]
    list_filter = [("refused_at", admin.EmptyFieldListFilter), "topic", "priority"]
    fields = ["event_id", "topic", "partition", "priority", "shard", "created_at", "refused_at", "refusal"]
    ordering = ["id"]
    actions = ["send_again", "discard"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboxMessage]:
        rows: QuerySet[OutboxMessage] = super().get_queryset(request)
        return rows.defer("key", "value", "headers").annotate(bytes=Length("value"))

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Return True if the user may send again what Kafka refused."""
        return self._may(request, "resend_outboxmessage")

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Return True if the user may discard what Kafka refused."""
        return self._may(request, "discard_outboxmessage")

    def _may(self, request: HttpRequest, permission: str) -> bool:
        return self.has_view_permission(request) and request.user.has_perm(f"kafka_bridge.{permission}")

    @admin.display(description=_("size of the content"), ordering="bytes")
    def size(self, row: OutboxMessage) -> int:
        return int(getattr(row, "bytes", 0))

    @admin.action(description=_("Send again what Kafka refused"), permissions=["resend"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> None:
        with transaction.atomic():
            rows = outbox.lock_refused(queryset)
            self._audit(request, rows, gettext("Sent again."))
            outbox.send_again(rows)
        sent = gettext("%(count)d messages are sent again. What Kafka still refuses returns to this list.")
        self._report(request, rows, sent)

    @admin.action(description=_("Discard what Kafka refused"), permissions=["discard"])
    def discard(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> HttpResponse | None:
        """Discard after a page that asks for the reason, which is kept in the log of the admin."""
        form = DiscardForm(request.POST if "confirmed" in request.POST else None)
        form.fields["reason"].help_text = _("It is kept in the log of the admin. Do not write personal data here.")
        if not form.is_valid():
            return self.render_page(
                request,
                "kafka_bridge/admin/confirm.html",
                _("Discard what Kafka refused"),
                action="discard",
                form=form,
                selected=request.POST.getlist("_selected_action"),
                select_across=request.POST.get("select_across", "0"),
                total=queryset.filter(refused_at__isnull=False).count(),
                back=reverse("admin:kafka_bridge_outboxmessage_changelist"),
            )
        with transaction.atomic():
            rows = outbox.lock_refused(queryset)
            self._audit(request, rows, gettext("Discarded: %(reason)s") % {"reason": form.cleaned_data["reason"]})
            outbox.discard(rows)
        self._report(request, rows, gettext("%(count)d messages discarded."))
        return None

    def _report(self, request: HttpRequest, rows: list[OutboxMessage], done: str) -> None:
        """Show the outcome. `done` has a placeholder for the count."""
        if rows:
            self.message_user(request, done % {"count": len(rows)}, messages.SUCCESS)
        else:
            waiting = gettext("None of the selected messages was refused: they leave by themselves.")
            self.message_user(request, waiting, messages.WARNING)

    def _audit(self, request: HttpRequest, rows: list[OutboxMessage], note: str) -> None:
        """Write one entry per message into the log of the admin."""
        if rows:
            LogEntry.objects.log_actions(cast(AbstractBaseUser, request.user).pk, rows, CHANGE, note)
