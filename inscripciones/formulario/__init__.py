"""An applicant's form: its normal form, its id, the rules that judge it, the locks on its data."""
