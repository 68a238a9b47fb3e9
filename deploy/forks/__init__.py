"""Processes that share the memory of one loaded program.

`program.py` imports a module and then forks itself for each order; a fork runs a command line of
Python as if it had been started with it. `orders.py` is the other side, which gives the orders.
`parent.py` lets a process end with its parent. The package is independent of everything else.
"""
