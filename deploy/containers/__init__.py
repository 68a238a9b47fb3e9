"""Docker on one machine: an engine, the images of deploy/image and deploy/standins, compose.

Like deploy.embedded the package is independent of Django and of the applications, and `StackError`
is the only error that is raised on purpose.
"""
