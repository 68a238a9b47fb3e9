"""What the guild's apps share: below the apps and above the engine.

`lectura` reads what people type, in forms and in the API; `formats` writes for people. `api` has
the parsers, errors, answers and pages of the API, and `csrf` explains a refused form. The admin:
`admin_forms`, `permission_names`. The database: `copy`, `transactions`. Work in the background:
`hints`, `mail`. Events: `types`. New installations: `seed`.
"""
