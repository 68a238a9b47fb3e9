"""The admin's pages of users, groups and failed logins, in the look of unfold."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from axes.models import AccessAttempt
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.http import HttpRequest
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from gremio.admin_forms import CleanSearch, GremioAdmin
from gremio.permission_names import PermissionsField
from inscripciones.models import Usuario
from kafka_bridge.admin_base import ReadOnlyAdmin

# Registers the page that is taken away below: knox stands behind this app in INSTALLED_APPS.
import_module("knox.admin")
# knox's page could make tokens that no e-mail brings; a maestro's page has what staff need.
admin.site.unregister(AuthToken)
admin.site.unregister(Group)


if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = object


class PermissionsInSpanish(_Admin):
    """A mixin of ModelAdmins: the boxes with permissions show their Spanish names."""

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        if db_field.related_model is Permission:
            kwargs["form_class"] = PermissionsField
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(Usuario)
class UsuarioAdmin(PermissionsInSpanish, GremioAdmin, UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Staff and maestros; a maestro's user has no password."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "first_name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_superuser", "is_active", "groups"]
    # Written by logging in; an open page would write an old one back.
    readonly_fields = ["last_login", "date_joined"]


@admin.register(Group)
class GrupoAdmin(PermissionsInSpanish, GremioAdmin, GroupAdmin, ModelAdmin):
    """Groups of permissions, such as Revisores."""


@admin.register(AccessAttempt)
class IntentoAdmin(CleanSearch, ReadOnlyAdmin):
    """Recent logins with a wrong password. Deleting a row unlocks that login at once."""

    list_display = ["attempt_time", "username", "ip_address", "failures_since_start"]
    fields = ["attempt_time", "username", "ip_address", "user_agent", "failures_since_start"]
    search_fields = ["username", "ip_address"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return request.user.has_perm("axes.delete_accessattempt")
