"""The pages of Beat's schedule, with what every form of the admin has (gremio/admin_forms.py).

Importing `desk.maestro` registers the page of a maestro.
"""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest

# Importing the module registers its pages, which the classes below replace.
from django_celery_beat import admin as beat
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule
from unfold.admin import ModelAdmin

from gremio.admin_forms import GremioAdmin
from gremio.lectura.form_fields import TextoField
from mamochi_site.desk import maestro

__all__ = ["maestro"]

for model in (ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule):
    admin.site.unregister(model)


class TareaForm(beat.PeriodicTaskForm):
    """The form of a task; `task`, declared in the library's form, is cleaned too."""

    task = TextoField(label=beat.PeriodicTaskForm.base_fields["task"].label, required=False, max_length=200)


@admin.register(PeriodicTask)
class TareaAdmin(GremioAdmin, beat.PeriodicTaskAdmin, ModelAdmin):
    """The tasks that Beat sends."""

    form = TareaForm


@admin.register(ClockedSchedule)
class MomentoAdmin(GremioAdmin, beat.ClockedScheduleAdmin, ModelAdmin):
    """Moments."""


@admin.register(CrontabSchedule)
class CrontabAdmin(GremioAdmin, beat.CrontabScheduleAdmin, ModelAdmin):
    """Schedules by the clock. A new row is in Chilean time; the library offers UTC."""

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str | list[str]]:
        return {"timezone": settings.TIME_ZONE, **super().get_changeform_initial_data(request)}


@admin.register(IntervalSchedule)
class IntervaloAdmin(GremioAdmin, beat.IntervalScheduleAdmin, ModelAdmin):
    """Intervals."""


@admin.register(SolarSchedule)
class SolarAdmin(GremioAdmin, beat.SolarScheduleAdmin, ModelAdmin):
    """Schedules by the sun."""
