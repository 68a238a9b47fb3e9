"""Base classes for admin pages of the engine and of the apps that use it."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from unfold.admin import ModelAdmin


def pasted(text: str) -> str:
    """Return an id or a number as it was copied, without blanks and invisible characters."""
    return "".join(filter(str.isprintable, text)).strip()


class ReadOnlyAdmin(ModelAdmin):
    """Admin of rows that only services write. Staff look at them, and change them through actions.

    A page of an action is one line:

        return self.render_page(request, "orders/admin/refund.html", "Refund the order", form=form)
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def render_page(
        self, request: HttpRequest, template: str, title: str | Promise, **context: Any
    ) -> TemplateResponse:
        """Render a page with the admin's menu, breadcrumbs and `title`.

        Raises PermissionDenied for a user who may not view the rows of this admin.
        """
        self.require_view_permission(request)
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, template, {**shared, **context})

    def require_view_permission(self, request: HttpRequest) -> None:
        """Raise PermissionDenied for a user who may not view the rows of this admin."""
        if not self.has_view_permission(request):
            raise PermissionDenied


class AdminPage(ReadOnlyAdmin):
    """One page in the menu of the admin, in the place of a list of rows.

    Register it for a proxy model, which gives the page its place in the menu and its view
    permission. Subclasses set `title` and `template` and implement `context`.
    """

    title: str | Promise = ""
    template = ""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        self.require_view_permission(request)
        return self.render_page(request, self.template, self.title, **self.context(request))

    def context(self, request: HttpRequest) -> dict[str, Any]:
        """Return the variables of the template. The user has the view permission."""
        raise NotImplementedError
