"""What the guild's apps share: below the apps and above the engine.

Reading what people type: `textos` cleans a text, `numeros` reads numbers, and `correo` mail
domains; `form_fields` and `serializer_fields` use them in forms and in the API. Writing for people:
`formats`. Requests: `json_parser`, `form_parser`, `errors`, `csrf`, `requests`. The admin:
`admin_forms`, `permissions`. Work in the background: `hints`, `schedule`, `mail`. The database:
`copy`, `transactions`.
"""
