"""The system on one machine: `system.py` runs it, and `demo/` plays a week with it."""
