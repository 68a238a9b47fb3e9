"""What the nemesis inflicts. `plan.py` says what a fault is; each other module returns its plans.

A module has a function `plans(context)`, which returns a list of `Plan`. `clocks` also wants the
`Clocks` with whose `variables` the stack was started, and `disks` the `Volumes` and `SlowDisks`, if
there are any.
"""
