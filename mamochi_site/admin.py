"""The admin of Celery Beat's calendar: a new row is in Chilean time."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django_celery_beat.admin import CrontabScheduleAdmin
from django_celery_beat.models import CrontabSchedule

admin.site.unregister(CrontabSchedule)


@admin.register(CrontabSchedule)
class CalendarAdmin(CrontabScheduleAdmin):  # type: ignore[misc]  # django-celery-beat has no types
    """The library offers Celery's zone, which is UTC."""

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str]:
        return {"timezone": settings.TIME_ZONE, **super().get_changeform_initial_data(request)}
