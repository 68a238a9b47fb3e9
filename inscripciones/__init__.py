"""Enrolment in the guild: from an applicant's form to a maestro with a token.

`formulario` is what an applicant sent, and the rules that judge it. `tramite` is what happens to
it: reception, review, admission. `correos` sends the e-mails. `maestros` and `credenciales` change
members and their tokens; `reports` has the figures for staff.
"""
