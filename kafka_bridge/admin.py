"""The engine's admin: dead letters, pages of the whole system, consumer offsets and the outbox."""

from typing import cast

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AbstractBaseUser
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

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        """Return True if the user may decide about messages that Kafka refused."""
        return self.has_view_permission(request) and request.user.has_perm("kafka_bridge.resolve_outboxmessage")

    @admin.display(description=_("size of the content"), ordering="bytes")
    def size(self, row: OutboxMessage) -> int:
        return int(getattr(row, "bytes", 0))

    @admin.action(description=_("Send again what Kafka refused"), permissions=["resolve"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> None:
        self._log(request, queryset, gettext("Sent again."))
        count = outbox.retry_refused(queryset)
        self.message_user(request, gettext("%(count)d messages are sent again.") % {"count": count})

    @admin.action(description=_("Discard what Kafka refused"), permissions=["resolve"])
    def discard(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> HttpResponse | None:
        """Discard after a page that asks for the reason, which is kept in the log of the admin."""
        form = DiscardForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self.render_page(
                request,
                "kafka_bridge/admin/confirm.html",
                _("Discard unprocessed messages"),
                action="discard",
                form=form,
                selected=request.POST.getlist("_selected_action"),
                select_across=request.POST.get("select_across", "0"),
                total=queryset.filter(refused_at__isnull=False).count(),
                back=reverse("admin:kafka_bridge_outboxmessage_changelist"),
            )
        self._log(request, queryset, gettext("Discarded: %(reason)s") % {"reason": form.cleaned_data["reason"]})
        count = outbox.discard_refused(queryset)
        self.message_user(request, gettext("%(count)d messages discarded.") % {"count": count})
        return None

    def _log(self, request: HttpRequest, queryset: QuerySet[OutboxMessage], note: str) -> None:
        """Write one entry per refused message into the log of the admin."""
        user = cast(AbstractBaseUser, request.user)
        rows = list(queryset.filter(refused_at__isnull=False))
        if rows:
            LogEntry.objects.log_actions(user.pk, rows, CHANGE, note)
