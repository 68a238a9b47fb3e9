"""The system on one machine: `system.py` starts it, and `up.py` runs it until Ctrl-C.

`demo/` plays a week with it. `loaded.py` is what its processes share.
"""
