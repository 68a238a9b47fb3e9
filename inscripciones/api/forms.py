"""The form of the login page."""

import re
from typing import Any, Final

from django import forms
from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed

from gremio.lectura.form_fields import TextoField
from inscripciones.api.authentication import TokenDeMaestro
from inscripciones.models import Usuario

# What is pasted may have more around it: quotes, a final dot, `Bearer`.
TOKEN: Final = re.compile(r"mmc_\w+", re.ASCII)
MODEL_BACKEND: Final = "django.contrib.auth.backends.ModelBackend"


class EntrarForm(forms.Form):
    """The login form: a token, checked by the code that checks the API's Authorization header."""

    token = TextoField(
        label="Tu token",
        max_length=200,
        strip=True,
        widget=forms.PasswordInput(
            attrs={"autofocus": True, "autocomplete": "current-password", "placeholder": "mmc_…"}
        ),
        error_messages={"required": "Pega aquí el token de tu correo de credenciales."},
    )

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.usuario: Usuario | None = None

    def clean_token(self) -> str:
        """Check the token, keep its user; return an empty text: no later code needs the token."""
        pasted = self.cleaned_data["token"]
        token = found[0] if (found := TOKEN.search(pasted)) else pasted
        try:
            self.usuario, _token = TokenDeMaestro().authenticate_credentials(token.encode())
        except AuthenticationFailed:
            raise forms.ValidationError("Ese token no sirve: quizá hay uno más nuevo en tu correo.") from None
        if self.usuario.maestro_id is None:
            raise forms.ValidationError("Ese token no es de un maestro.")
        # django.contrib.auth.login() requires the name of the backend that authenticated the user.
        self.usuario.backend = MODEL_BACKEND
        return ""

    def get_user(self) -> Usuario | None:
        return self.usuario
