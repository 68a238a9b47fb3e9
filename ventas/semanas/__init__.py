"""Accounting weeks: `cierre` closes one, `reports` has its sums, `mailer` sends its e-mails."""
