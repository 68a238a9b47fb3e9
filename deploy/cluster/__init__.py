"""A Kubernetes cluster of one machine's own: control plane and node, built from source.

`tools/` pins the sources, `programs.py` builds them, `definitions.py` has the resource definitions
of the operators, `control_plane.py` runs the API server, `node.py` a node with pods. Like
deploy.embedded the package is independent of Django and of the applications, and `StackError` is
the only error that is raised on purpose.
"""
