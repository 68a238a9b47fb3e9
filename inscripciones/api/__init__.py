"""The HTTP API of enrolment, and the login of maestros."""
