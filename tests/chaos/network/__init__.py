"""Hosts in network namespaces, and what happens to packets between them; root on Linux only.

`hub.py` builds the hosts, which are connected by a router, the hub, and `rules.py` tells the hub
what to lose or delay. `delay.py` is the program that delays. `places.py` says what runs where.
"""
