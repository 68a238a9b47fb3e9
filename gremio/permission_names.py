"""The names of permissions in Spanish. Django stores them in English, untranslated."""

from typing import TYPE_CHECKING, Final

from django import forms
from django.contrib.auth.models import Permission

VERBS: Final = {"add": "Puede agregar", "change": "Puede modificar", "delete": "Puede eliminar", "view": "Puede ver"}


def in_spanish(permission: Permission) -> str:
    """Return a permission as staff read it: `Kafka | mensaje no procesado | Puede ver`.

    A permission of a model that no longer exists keeps its stored name.
    """
    model = permission.content_type.model_class()
    if model is None:
        return str(permission)
    of_model = {codename: str(name) for codename, name in model._meta.permissions}
    verb = permission.codename.removesuffix(f"_{model._meta.model_name}")
    name = of_model.get(permission.codename) or VERBS.get(verb, permission.name)
    return f"{permission.content_type} | {name}"


# Generic only in the stubs.
if TYPE_CHECKING:
    _Choice = forms.ModelMultipleChoiceField[Permission]
else:
    _Choice = forms.ModelMultipleChoiceField


class PermissionsField(_Choice):
    """A choice of permissions, shown in Spanish."""

    def label_from_instance(self, obj: Permission) -> str:
        return in_spanish(obj)
