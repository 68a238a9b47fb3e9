"""Accounting weeks: `cierre` closes one, `reports` has its sums, `envios` sends its e-mails."""
