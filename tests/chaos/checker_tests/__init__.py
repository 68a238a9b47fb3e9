"""Tests of the checker: a correct history passes, and each planted corruption is found."""
