"""What happens to an enrolment, from the form's arrival to the decision and what follows from it.

`recepcion` takes the form and decides it by the rules; `revision` is a person's decision;
`admision` writes what follows from either; `restauracion` applies decisions again after a backup
was restored.
"""
