"""What every form of the admin has: numbers and texts as people type them, and no lost updates."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from django import forms
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import display_for_value
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import Model, QuerySet, prefetch_related_objects
from django.forms.models import _get_foreign_key
from django.http import HttpRequest
from django.utils import timezone

from gremio.lectura.form_fields import CorreoField, DecimalField, EnteroField, TextoField
from gremio.lectura.textos import limpiar
from gremio.permission_names import in_spanish

SHOWN: Final = "version_mostrada"  # the hidden field with what the page showed
SALT: Final = "gremio.admin_forms"
UNREADABLE: Final = "Esta página es de antes de un cambio del sistema: ábrela de nuevo."


# The mixins go in front of a ModelAdmin or an inline; only the type checker needs their base.
if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    _Admin = ModelAdmin[Any]
else:
    _Admin = object


class Snapshot(NamedTuple):
    """What a page of the admin shows of an object.

    `values`: per field or inline row, its label and its value as people read it. `last_entry`: the
    id of the newest line of the object's history, 0 if it has none.
    """

    values: dict[str, tuple[str, str]]
    last_entry: int


class TypedAsInChile(_Admin):
    """A mixin of ModelAdmins and inlines: boxes read numbers and texts as people type them."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field_class = _field_class(db_field)
        if field_class and not db_field.choices and not kwargs.get("form_class"):
            kwargs["form_class"] = field_class
        return super().formfield_for_dbfield(db_field, request, **kwargs)


def _field_class(db_field: Any) -> type[forms.Field] | None:
    """Return our class for the box of a model's field, if it has one."""
    # Other subclasses of CharField, such as URLField, keep the box of their own.
    exact: dict[type[Any], type[forms.Field]] = {
        models.CharField: TextoField,
        models.TextField: TextoField,
        models.EmailField: CorreoField,
        models.DecimalField: DecimalField,
    }
    if isinstance(db_field, models.IntegerField):
        return EnteroField
    return exact.get(type(db_field))


class CleanSearch(_Admin):
    """A mixin of ModelAdmins: what is typed into the search box is cleaned first."""

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> Any:
        return super().get_search_results(request, queryset, limpiar(search_term).strip())


class NoLostUpdates(_Admin):
    """A mixin of ModelAdmins: of two people who edit one object, the second is told of the first.

    The page carries what it showed. Saving locks the row and compares. If the object has changed,
    the page comes back with the changes, who made them and when, and with what the second person
    typed; sent again, it is saved. A program that posts without having opened the page is not
    compared.
    """

    change_form_before_template: ClassVar[str] = "gremio/version_mostrada.html"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the object; on saving it is locked, and compared with what its page showed."""
        saves = request.method == "POST" and connection.in_atomic_block and SHOWN in request.POST
        if saves:
            # The lock comes before the read: the object is what the last one to save left.
            model: type[Model] = self.model
            field = from_field or model._meta.pk.name
            try:
                list(model._base_manager.select_for_update(of=("self",)).filter(**{field: object_id}))
            except (ValueError, ValidationError):
                return None
        found = super().get_object(request, object_id, from_field)
        if saves and found is not None:
            request.changed_meanwhile = self._changed_meanwhile(request, found)  # type: ignore[attr-defined]  # for get_form
        return found

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Return the form's class; it is invalid if the object has changed meanwhile."""
        form_class = super().get_form(request, obj, change=change, **kwargs)
        changes: list[str] = getattr(request, "changed_meanwhile", []) if change else []
        if not changes:
            return form_class

        class OutdatedForm(form_class):  # type: ignore[misc, valid-type]  # a class made at run time
            def full_clean(self) -> None:
                super().full_clean()
                self.add_error(None, changes)

        return OutdatedForm

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add what the page shows, signed."""
        obj = kwargs.get("obj")
        if kwargs.get("change") and obj is not None:
            # Read again: an invalid form has already put what was typed into `obj`.
            stored = self.model._base_manager.get(pk=obj.pk)
            version = signing.dumps(self._snapshot(request, stored), salt=SALT, compress=True)
            context = {**context, SHOWN: version}
        return super().render_change_form(request, context, *args, **kwargs)

    def _changed_meanwhile(self, request: HttpRequest, obj: Model) -> list[str]:
        """Return what changed since the page was opened, in Spanish; empty if nothing did."""
        try:
            values, last_entry = signing.loads(request.POST[SHOWN], salt=SALT)
        except signing.BadSignature:
            return [UNREADABLE]
        now = self._snapshot(request, obj).values
        shown = {key: tuple(value) for key, value in values.items()}
        changes = [_change(shown.get(key), now.get(key)) for key in {**shown, **now} if shown.get(key) != now.get(key)]
        if not changes:
            return []
        return [
            f"Mientras tenías abierta esta página, {_who(obj, last_entry)} cambió lo siguiente.",
            *changes,
            "Tus cambios no se han guardado y siguen abajo. Revísalos: si guardas de nuevo, vale lo que está escrito.",
        ]

    def _snapshot(self, request: HttpRequest, obj: Model) -> Snapshot:
        form_class = super().get_form(request, obj, change=True)
        # A disabled box cannot be edited; the one of a password would show its hash.
        names = [name for name, box in form_class.base_fields.items() if not box.disabled]
        values = {key: (label, text) for key, label, text in _values_of(obj, names)}
        for inline in self.get_inline_instances(request, obj):
            names = [*inline.get_formset(request, obj).form.base_fields]
            if not names:
                continue  # shown only
            key = _get_foreign_key(self.model, inline.model, fk_name=inline.fk_name)
            relations = [name for name in names if inline.model._meta.get_field(name).many_to_one]
            rows = inline.get_queryset(request).filter(**{key.name: obj}).select_related(*relations)
            for row in rows:
                text = ", ".join(f"{label}: {value}" for _key, label, value in _values_of(row, names))
                values[f"{inline.model._meta.label_lower} {row.pk}"] = (str(inline.opts.verbose_name), text)
        return Snapshot(values, last_entry_of(obj))


class GremioAdmin(NoLostUpdates, CleanSearch, TypedAsInChile):
    """All three, for the ModelAdmins whose objects staff edit. It goes before unfold's class."""


def last_entry_of(obj: Model) -> int:
    """Return the id of the newest line of the object's history in the admin; 0 if there is none."""
    return history_of(obj).values_list("pk", flat=True).order_by("-pk").first() or 0


def history_of(obj: Model) -> QuerySet[LogEntry]:
    """Return the lines of the object's history in the admin."""
    content_type = ContentType.objects.get_for_model(obj, for_concrete_model=False)
    return LogEntry.objects.filter(content_type=content_type, object_id=str(obj.pk))


def by_and_when(entry: LogEntry) -> str:
    """Return who made a line of the history, and when: `ana (25-11-2026 18:02)`."""
    return f"{entry.user.get_username()} ({timezone.localtime(entry.action_time):%d-%m-%Y %H:%M})"


class SeenForm(forms.Form):
    """A form of an action on one object, which knows the history that its page showed.

    Call `check_seen` in the transaction that writes, with the object locked.
    """

    visto = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, obj: Model | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if obj is not None:
            self.fields["visto"].initial = last_entry_of(obj)

    def check_seen(self, obj: Model) -> bool:
        """Return True if the history has no new line since the page was opened.

        Otherwise the form gets an error with the new lines. Sent again, it is accepted.
        """
        seen = self.cleaned_data["visto"]
        if seen is None:
            return True  # sent by a program that opened no page
        entries = list(history_of(obj).filter(pk__gt=seen).select_related("user").order_by("pk"))
        if not entries:
            return True
        self.data = {**dict(self.data.items()), "visto": str(entries[-1].pk)}
        self.add_error(
            None,
            [
                "Mientras tenías abierta esta página hubo cambios.",
                *(f"{by_and_when(entry)}: {entry.get_change_message()}" for entry in entries),
                "No se ha hecho nada. Revisa lo que escribiste: si lo envías de nuevo, vale.",
            ],
        )
        return False


def _values_of(obj: Model, names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Yield key, label and text of each of the object's fields among `names`.

    Of a relation to many, one per related object: what was added or taken away is then short.
    """
    fields: list[Any] = [*obj._meta.fields, *obj._meta.many_to_many]
    for field in fields:
        if field.name not in names:
            continue
        label, value = str(field.verbose_name), field.value_from_object(obj)
        if not field.many_to_many:
            yield field.name, label, _text(field, obj, value)
            continue
        # `str` of a related object may read its own relations, as a permission's does.
        prefetch_related_objects(value, *(f.name for f in field.related_model._meta.fields if f.many_to_one))
        for related in value:
            text = in_spanish(related) if isinstance(related, Permission) else str(related)
            yield f"{field.name} {related.pk}", label, text


def _text(field: Any, obj: Model, value: Any) -> str:
    if field.choices:
        return str(getattr(obj, f"get_{field.name}_display")())
    if field.many_to_one:
        return str(getattr(obj, field.name) or "nada")
    if isinstance(value, bool):
        return "sí" if value else "no"
    return str(display_for_value(value, "nada"))


def _change(before: Any, after: Any) -> str:
    label = (after or before)[0]
    old, new = (f"«{value[1]}»" if value else "nada" for value in (before, after))
    return f"{label}: antes {old}, ahora {new}."


def _who(obj: Model, last_entry: int) -> str:
    """Return the people who changed the object since that line of its history."""
    entries = history_of(obj).filter(pk__gt=last_entry).select_related("user").order_by("pk")
    latest = {entry.user_id: by_and_when(entry) for entry in entries}
    return " y ".join(latest.values()) or "alguien, fuera de estas páginas,"
