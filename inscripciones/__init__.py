"""Enrolment in the guild: from an applicant's form to a maestro with a token.

`recepcion` takes forms, and `reglas` judge them; `revision` is a person's decision, and `admision`
what follows from one. `correspondencia` chooses the e-mails, `envios` sends them and `emails`
writes them. `restauracion` applies decisions again after a backup was restored.
"""
