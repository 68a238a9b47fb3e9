"""The form and the limit of pages that ask staff to confirm a change."""

from typing import Any, Final

from unfold.widgets import UnfoldAdminTextareaWidget

from gremio.admin_forms import SeenForm
from gremio.lectura.form_fields import TextoField

# As many rows as one page can show before they are decided.
MAX_AT_ONCE: Final = 200
FOR_THE_HISTORY: Final = "Queda en la historia, para el gremio."


class MotivoForm(SeenForm):
    """The reason for a change."""

    motivo = TextoField(label="Motivo", max_length=500, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))

    def __init__(self, *args: Any, required: bool, help_text: str = FOR_THE_HISTORY, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["motivo"].required = required
        self.fields["motivo"].help_text = help_text
