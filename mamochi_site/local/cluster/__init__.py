"""`./dev cluster`: deploy/kubernetes on nodes of this machine's own, audited by the demo.

`images.py` builds what the nodes need, `files.py` writes what the overlay `test` leaves open,
`system.py` applies it and looks at it, `load.py` sells, `trials.py` breaks and `scaling.py` scales
meanwhile, `group.py` watches the group that is scaled. `__main__.py` is the command.
"""
